"""How functions are compiled: `jit` and `filter_jit`, in place of JAX's and Equinox's own.

XLA's CPU compiler hands a product of small matrices and the sum after it to the kernels of YNNPACK ("YNN
fusions", on by default since jaxlib 0.10.2), and that version miscompiles some of them: over more than 32,768
rows, part of `vmap(lambda row: sum((M @ row)**2))` is wrong, without a word (jax-ml/jax#39103); other shapes
crash (#39257, #40412). An empty list of the fusions to make switches them off. It is an option of each
program here, so that other JAX code of the process, and `XLA_FLAGS`, stay as they are. Other backends do not
get it.

Operations outside of `jit` are programs of their own, which JAX compiles without these options. So whatever
calls a user's model, loss or metric does it inside of a function compiled here.

The compiler is checked when a process compiles its first program for the CPU, as many imports compile none:
the program above is compiled and compared with NumPy (about 0.1 s). The result is remembered in the cache
folder by version and machine; reading it takes less than a millisecond.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, update_wrapper
from hashlib import sha256
from threading import Lock
from typing import Any, Generic, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
from jaxtyping import Array, Float

from thalweg.core.cache import recall, remember
from thalweg.core.device import instruction_sets, on_cpu, processor
from thalweg.core.errors import CompilerError

P = ParamSpec("P")
R = TypeVar("R")
Options = dict[str, str | bool]

OLDEST = "0.10.0"  # as in pyproject.toml
FUSIONS = "xla_cpu_experimental_ynn_fusion_type"
CPU_OPTIONS: Options = {FUSIONS: ""}
# LLVM without optimisation, and XLA's older code for fusions in place of a compilation by MLIR for each: a
# third to a quarter of the time to compile, for a program that is several times slower.
FAST_COMPILATION: Options = {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False}
# Between the two: half of the time to compile, for a program that takes 1.2 to 1.5 times as long.
BRIEF_COMPILATION: Options = {"xla_backend_optimization_level": "1", "xla_cpu_use_fusion_emitters": False}
FILE = "compilers.json"
# Rows and columns of the example in jax-ml/jax#39103: jaxlib 0.10.2 computes a fifth of it wrong.
ROWS, COLUMNS = 40_000, 3

_CHECK = Lock()
# How much is done for fast programs: a whole compilation, a brief one, or the fastest.
WHOLE, BRIEF, LEAST = "whole", "brief", "least"
_EFFORT: ContextVar[str] = ContextVar("effort", default=WHOLE)


class Compiled(Generic[P, R]):
    """A function that is compiled, with our options, when it is called with new shapes or static arguments.

    Args:
        function: What to compile.
        compiler: `jax.jit` or `eqx.filter_jit`, with its settings.
        once: Whether it runs once or twice, so that a fast compilation is worth more than a fast program.
    """

    def __init__(self, function: Callable[P, R], compiler: Callable[..., Any], once: bool = False):
        self._function, self._compiler, self._once = function, compiler, once
        self._by_options: dict[tuple[bool, str], Any] = {}
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compile if necessary, and call.

        Raises:
            CompilerError: See `options`.
        """
        return self._jitted()(*args, **kwargs)

    @property
    def function(self) -> Callable[P, R]:
        """The function that is compiled, for use inside of a trace."""
        return self._function

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return the program for these arguments before it is compiled, as `jax.jit(...).lower` does."""
        return self._jitted().lower(*args, **kwargs)

    def _jitted(self) -> Any:
        kind = cpu, effort = on_cpu(), LEAST if self._once else _EFFORT.get()
        if kind not in self._by_options:
            chosen = options() | (_less_effort(effort) if cpu else {})
            self._by_options[kind] = self._compiler(self._function, compiler_options=chosen)
        return self._by_options[kind]


def jit(function: Callable[P, R], **settings: Any) -> Compiled[P, R]:
    """Compile a function with our options; it is not called from inside of another compiled function.

    Args:
        function: A pure function of arrays.
        settings: Those of `jax.jit`, such as `static_argnames`.
    """
    return Compiled(function, partial(jax.jit, **settings))


def filter_jit(function: Callable[P, R]) -> Compiled[P, R]:
    """Do what `jit` does; whatever is not an array in the arguments is static (`equinox.filter_jit`)."""
    return Compiled(function, eqx.filter_jit)


def filter_jit_once(function: Callable[P, R]) -> Compiled[P, R]:
    """Do what `filter_jit` does, for a function that runs once or twice: compiled without optimisation."""
    return Compiled(function, eqx.filter_jit, once=True)


@contextmanager
def fast_compilation() -> Iterator[None]:
    """Compile what is called inside of this block as `filter_jit_once` does.

    For many different programs that each run for a moment. Their numbers differ from those of programs that
    are optimised, by rounding; and a lane may differ in its last bits from the same lane alone.
    """
    token = _EFFORT.set(LEAST)
    try:
        yield
    finally:
        _EFFORT.reset(token)


@contextmanager
def brief_compilation(wanted: bool = True) -> Iterator[None]:
    """Compile what is called inside of this block in about half of the time, if that is `wanted`.

    For programs that run for about as long as they take to compile. What decides it must be the same for all
    lanes of a program and for each of them alone: their bits depend on it.
    """
    token = _EFFORT.set(BRIEF) if wanted and _EFFORT.get() == WHOLE else None
    try:
        yield
    finally:
        if token is not None:
            _EFFORT.reset(token)


def traced_once(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function for use inside of a compiled one, which is traced once for each kind of arguments."""
    return jax.jit(function, inline=True)


def options() -> Options:
    """Return the compiler options for the platform in use; the first call on a CPU checks its compiler.

    Raises:
        CompilerError: jaxlib is too old, or the check computed wrong values.
    """
    if not on_cpu():
        return {}
    with _CHECK:
        return _checked_options()


@cache
def _checked_options() -> Options:
    version = jaxlib.version.__version__
    if _numbers(version) < _numbers(OLDEST):
        hint = f"install a newer JAX: pip install -U 'jax>={OLDEST}'"
        raise CompilerError("compiler", f"jaxlib must be at least {OLDEST}", got=version, hint=hint)
    machine = (processor(), instruction_sets(), os.environ.get("XLA_FLAGS", ""))
    key = f"{version} {sha256(repr((machine, CPU_OPTIONS)).encode()).hexdigest()[:16]}"
    remembered = recall(FILE, key)
    if remembered in (CPU_OPTIONS, {}):
        return remembered
    accepted = _accepted(CPU_OPTIONS)
    if wrong := wrong_share(accepted):
        raise CompilerError(
            "compiler",
            "the installed JAX must compute right values on this processor",
            got=f"{100 * wrong:.2g} % wrong values of sum((M @ x)**2) over {ROWS:,} rows",
            where=f"jaxlib {version}, {processor()}",
            hint="install a JAX that is tested: pip install 'jax==0.10.2'",
        )
    remember(FILE, key, accepted)
    return accepted


def wrong_share(compiler_options: Options) -> float:
    """Return the share of wrong values in the example that jaxlib 0.10.2 miscompiles by default.

    All numbers are small integers, so right values are exact in float32.
    """
    generator = np.random.default_rng(0)
    matrix = generator.integers(-3, 4, (COLUMNS, COLUMNS))
    rows = generator.integers(-8, 9, (ROWS, COLUMNS))
    right = ((rows @ matrix.T) ** 2).sum(axis=1)
    computed = jax.jit(_lengths, compiler_options=compiler_options)(np.float32(matrix), np.float32(rows))
    return float((np.asarray(computed) != right).mean())


def _lengths(matrix: Float[Array, "3 3"], rows: Float[Array, "row 3"]) -> Float[Array, " row"]:
    return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)


@cache
def _less_effort(effort: str) -> Options:
    own = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")  # of the user, which stands
    if effort == WHOLE or (effort == BRIEF and own):
        return {}
    return _accepted(FAST_COMPILATION if effort == LEAST else BRIEF_COMPILATION)


def _accepted(compiler_options: Options) -> Options:
    """Return the options if this jaxlib knows them, else none."""
    try:
        jax.jit(lambda x: x, compiler_options=compiler_options)(np.float32(0))
    except jax.errors.JaxRuntimeError as error:
        if any(name in str(error) for name in compiler_options):
            return {}
        raise
    return compiler_options


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version, `0.10.2.dev2026` -> (0, 10, 2)."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:3])
