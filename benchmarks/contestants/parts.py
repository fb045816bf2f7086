"""A GPT's update in plain JAX, with the batch whole or in two parts that may be computed at the same time.

Forms: `whole`; `halves`, two gradients in one program, added in a fixed order; `devices`, one half on each of
two host devices, which the contestant's environment asks for.
"""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import PyTree

import thalweg as tw
from thalweg.core.compiler import options

CHARACTERS = 65


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates, AdamW with the gradient clipped to a norm of 1, on random tokens."""
    context, batch, steps = setting["context"], setting["batch"], setting["steps"]
    module = tw.GPT(layers=setting["layers"]).fitted((context,), CHARACTERS)(jax.random.key(0))
    params, fixed = eqx.partition(module, eqx.is_inexact_array)
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, CHARACTERS, (2, batch, context)).astype(np.int32)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3, b2=0.99, weight_decay=0.1))

    def loss(params: PyTree, tokens: Any) -> Any:
        chances = jax.nn.log_softmax(eqx.combine(params, fixed)(tokens[0], key=None))
        return -jnp.take_along_axis(chances, tokens[1][..., None], -1).mean()

    gradient = FORMS[setting["form"]](jax.grad(loss))

    def update(carry: PyTree, _: None) -> tuple[PyTree, None]:
        params, state, tokens = carry
        changes, state = optimizer.update(gradient(params, tokens), state, params)
        return (optax.apply_updates(params, changes), state, tokens), None

    def updates(carry: PyTree) -> PyTree:
        return jax.lax.scan(update, carry, None, length=steps)[0]

    run = jax.jit(updates, compiler_options=options())
    carry = [(params, optimizer.init(params), tokens)]

    def block() -> dict[str, Any]:
        begun, processor = time.perf_counter(), time.process_time()
        carry[0] = jax.block_until_ready(run(carry[0]))
        spent = time.perf_counter() - begun, time.process_time() - processor
        return {"seconds": spent[0], "processor": spent[1], "examples": steps * batch, "steps": steps}

    return block


def _halves(gradient: Callable[..., PyTree]) -> Callable[..., PyTree]:
    def of_both(params: PyTree, tokens: Any) -> PyTree:
        half = tokens.shape[1] // 2
        one, other = (gradient(params, part) for part in (tokens[:, :half], tokens[:, half:]))
        return jax.tree.map(lambda a, b: (a + b) / 2, one, other)

    return of_both


def _devices(gradient: Callable[..., PyTree]) -> Callable[..., PyTree]:
    def of_one(params: PyTree, tokens: Any) -> PyTree:
        return jax.lax.pmean(gradient(params, tokens), "device")

    return jax.shard_map(
        of_one,
        mesh=Mesh(np.array(jax.devices()), ("device",)),
        in_specs=(PartitionSpec(), PartitionSpec(None, "device")),
        out_specs=PartitionSpec(),
        check_vma=False,
    )


FORMS: dict[str, Callable[[Callable[..., PyTree]], Callable[..., PyTree]]] = {
    "whole": lambda gradient: gradient,
    "halves": _halves,
    "devices": _devices,
}
