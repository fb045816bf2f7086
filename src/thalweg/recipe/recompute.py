"""Recomputation: what of the forward pass is computed again in the backward pass instead of being kept.

    none       everything that the backward pass reads is kept
    blocks:K   the forward pass is cut into K blocks; what enters a block is kept, its inside computed again
    blocks:K:R the same for the first R of the K blocks; the others keep what they compute
    sqrt       as many blocks as the square root of the number of products: memory grows with the root of the
               depth only

The gradient is the same. All blocks but the last are computed twice: at most one more forward pass. The first
blocks are those to choose: their second computation comes last, when most of the others' memory is free.

The second computation is a branch that is always taken, which the compiler does not know. Otherwise XLA's
CPU compiler finds that it computes the same twice, and keeps the first result: `jax.checkpoint` saves
nothing there (jaxlib 0.10.2, measured on multilayer perceptrons and a GPT).

Reference: Griewank & Walther, Algorithm 799: Revolve, 2000; Chen et al., Training Deep Nets with Sublinear
Memory Cost, 2016 (the square root).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jaxtyping import Array, Int

from thalweg.core.caller import setting
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.jaxprs import evaluate, section, variables_read, walk

NONE, SQRT, BLOCKS = "none", "sqrt", "blocks"
WORDS = (NONE, SQRT)
# What counts as a layer for `sqrt`: products and convolutions, the library's own included.
PRODUCTS = {"dot_general", "conv_general_dilated", "product", "winograd"}
# Marks the second computation in the names of a jaxpr.
SCOPE = "recompute"


def check_recompute(text: Any) -> None:
    """Refuse a setting that is none of the words above.

    Raises:
        RecipeError: It is not.
    """
    if text in WORDS or block_counts(text) is not None:
        return
    rule = (
        f"recompute must be one of {', '.join(WORDS)}, or blocks:K with K of at least 2, "
        "or blocks:K:R with R from 1 to K - 1"
    )
    hint = did_you_mean(str(text), [*WORDS, "blocks:4"])
    raise RecipeError("recipe", rule, got=text, hint=f"{hint} for example {setting('recompute', 'blocks:4')}")


def block_counts(text: Any) -> tuple[int, int] | None:
    """Return K and R of `blocks:K:R`, K and K - 1 of `blocks:K`; None for anything else."""
    name, *counts = str(text).split(":")
    if name != BLOCKS or len(counts) not in (1, 2) or not all(c.isascii() and c.isdigit() for c in counts):
        return None
    blocks = int(counts[0])
    again = int(counts[1]) if len(counts) == 2 else blocks - 1
    return (blocks, again) if 1 <= again < blocks else None


def recomputed(function: Callable[[Any], Any], how: str, one: Int[Array, ""]) -> Callable[[Any], Any]:
    """Return a function with the same value and gradient that keeps less for its backward pass.

    Args:
        function: From the parameters to a loss, or to a loss and what comes with it.
        how: The setting.
        one: 1, as a number that the compiler does not know.
    """
    if how == NONE:
        return function
    return lambda params: _in_blocks(function, params, how, one)


def _in_blocks(function: Callable[[Any], Any], params: Any, how: str, one: Array) -> Any:
    closed, shape = jax.make_jaxpr(function, return_shape=True)(params)
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values |= dict(zip(jaxpr.invars, jax.tree.leaves(params), strict=True))
    root = max(2, round(math.sqrt(_products(jaxpr.eqns))))
    count, again = block_counts(how) or (root, root - 1)
    ends = block_ends(jaxpr, count)
    # The last block's backward pass comes next, so that it keeps what it computes.
    cuts = [*ends[: min(again, len(ends) - 1)], ends[-1]]
    for start, stop in pairwise([0, *cuts]):
        later = [
            *variables_read(jaxpr.eqns[stop:]),
            *(v for v in jaxpr.outvars if not isinstance(v, Literal)),
        ]
        block = section(jaxpr, jaxpr.eqns[start:stop], later)
        arguments = [values[var] for var in block.invars]
        results = _evaluated(block, arguments) if stop == cuts[-1] else _block(block, one, arguments)
        values |= dict(zip(block.outvars, results, strict=True))
    leaves = [var.val if isinstance(var, Literal) else values[var] for var in jaxpr.outvars]
    return jax.tree.unflatten(jax.tree.structure(shape), leaves)


def _evaluated(block: Jaxpr, arguments: Sequence[Any]) -> list[Any]:
    results = evaluate(block, dict(zip(block.invars, arguments, strict=True)))
    return [results[var] for var in block.outvars]  # type: ignore[index]


def _block(block: Jaxpr, one: Array, arguments: list[Any]) -> list[Any]:
    """Return the values of a block that is computed again in its backward pass."""

    @jax.custom_vjp
    def computed(one: Array, arguments: list[Any]) -> list[Any]:
        del one
        return _evaluated(block, arguments)

    def forward(one: Array, arguments: list[Any]) -> tuple[list[Any], tuple[Array, list[Any]]]:
        return _evaluated(block, arguments), (one, arguments)

    def backward(kept: tuple[Array, list[Any]], cotangents: list[Any]) -> tuple[None, list[Any]]:
        one, arguments = kept
        smooth = [jnp.issubdtype(value.dtype, jnp.inexact) for value in arguments]

        def once() -> list[Array]:
            def of(inner: list[Array]) -> list[Array]:
                varied = iter(inner)
                both = zip(arguments, smooth, strict=True)
                every = [next(varied) if is_smooth else value for value, is_smooth in both]
                results = _evaluated(block, every)
                return [result for result in results if jnp.issubdtype(result.dtype, jnp.inexact)]

            with jax.named_scope(SCOPE):
                _, pull = jax.vjp(
                    of, [v for v, is_smooth in zip(arguments, smooth, strict=True) if is_smooth]
                )
                outward = zip(block.outvars, cotangents, strict=True)
                return pull([c for var, c in outward if jnp.issubdtype(_dtype(var), jnp.inexact)])[0]

        def none() -> list[Array]:
            return [jnp.zeros_like(v) for v, is_smooth in zip(arguments, smooth, strict=True) if is_smooth]

        grads = iter(jax.lax.cond(one > 0, once, none))
        return None, [next(grads) if is_smooth else None for is_smooth in smooth]

    computed.defvjp(forward, backward)
    return computed(one, arguments)


def block_ends(jaxpr: Jaxpr, count: int) -> list[int]:
    """Return where to cut a forward pass into blocks: at most `count` ends, the last that of the jaxpr.

    Blocks keep about equally many bytes. Each cut is moved, by up to half a block, to where the least is
    alive.
    """
    equations = jaxpr.eqns
    if not equations:
        return [0]
    taken = [sum(_bytes(var.aval) for var in equation.outvars) for equation in equations]
    alive = _alive(jaxpr)
    total, sums = sum(taken), [0]
    for more in taken:
        sums.append(sums[-1] + more)
    ends: list[int] = []
    for number in range(1, count):
        goal, half = total * number / count, total / count / 2
        near = [at for at in range(1, len(equations)) if abs(sums[at] - goal) <= half]
        if near:
            best = min(near, key=lambda at, goal=goal: (alive[at], abs(sums[at] - goal)))
            if not ends or best > ends[-1]:
                ends.append(best)
    return [*ends, len(equations)]


def _alive(jaxpr: Jaxpr) -> list[int]:
    """Return the bytes, computed before each position, that are read at or after it."""
    last: dict[Any, int] = {}
    for at, equation in enumerate(jaxpr.eqns):
        last |= dict.fromkeys(variables_read([equation]), at)
    last |= {var: len(jaxpr.eqns) for var in jaxpr.outvars if not isinstance(var, Literal)}
    change = [0] * (len(jaxpr.eqns) + 2)
    for at, equation in enumerate(jaxpr.eqns):
        for var in equation.outvars:
            if last.get(var, at) > at:
                change[at + 1] += _bytes(var.aval)
                change[last[var] + 1] -= _bytes(var.aval)
    alive, held = [], 0
    for more in change:
        held += more
        alive.append(held)
    return alive


def _products(equations: Sequence[JaxprEqn]) -> int:
    return sum(equation.primitive.name in PRODUCTS for equation in walk(equations))


def _bytes(aval: Any) -> int:
    return aval.size * aval.dtype.itemsize if isinstance(aval, ShapedArray) else 0


def _dtype(var: Any) -> Any:
    return var.aval.dtype
