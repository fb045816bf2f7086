"""How fast this machine is: measured once, and kept in the cache folder by machine and version of JAX.

Each rate is measured inside of a compiled loop, as training runs: products of matrices over a grid of shapes,
memory traffic by size, functions, sums, random numbers, and what starting an operation costs.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np

from thalweg.core.cache import recall, remember
from thalweg.core.compiler import jit
from thalweg.core.device import backend, instruction_sets, processor, usable_cores, waited_seconds

FILE = "rates.json"
VERSION = 3  # of the measurements; rates of other versions are measured again
ROWS, SUMMED, COLUMNS = (4, 32, 256, 2048, 16384), (8, 64, 512, 2048, 16384), (8, 64, 512, 2048)
SIZES = (2**12, 2**15, 2**18, 2**21, 2**24)  # elements
SMALL, LARGE = SIZES[1], SIZES[3]  # elements of what is measured on one core, and on all
MOST_WORK = 1e9  # operations of a product in the grid; larger ones run at the rate of the largest
SECONDS, REPEATS = 4e-3, 5  # of a measurement, and how many; the fastest counts


@dataclass(frozen=True)
class Rates:
    """Seconds of operations.

    Args:
        products: By dtype, seconds of the product of a rows x summed with a summed x columns matrix, for each
            shape of the grid, rows changing slowest; 0 where it was not measured.
        batched: By dtype, seconds of 64 products of 64 x 32 with 32 x 64 matrices at once.
        traffic: Seconds to read one array and write another, for each of `SIZES` elements of float32.
        function: Seconds of an exp of one number, from a small array and from a large one.
        summing: Seconds to sum one number, from a small array and from a large one.
        random: Seconds of a random number, from a small array and from a large one.
        start: Seconds to start an operation.
        waited: Share of the measurement in which this process waited for a processor, which other programs
            had; None where the system does not say.
    """

    products: dict[str, list[float]]
    batched: dict[str, float]
    traffic: list[float]
    function: list[float]
    summing: list[float]
    random: list[float]
    start: float
    waited: float | None = None

    def product(self, batch: int, rows: int, summed: int, columns: int, dtype: str) -> float:
        """Return the seconds of a product; between the shapes of the grid its rate is interpolated."""
        table = self.products.get(dtype) or self.products["float32"]
        work = 2.0 * rows * summed * columns
        if batch > 1 and max(rows, summed, columns) <= 256:
            one = self.batched.get(dtype) or self.batched["float32"]
            return batch * max(work, 2.0 * 8**3) * one / (64 * 2.0 * 64 * 32 * 64)
        return batch * work / self._rate(table, rows, summed, columns)

    def _rate(self, table: list[float], rows: int, summed: int, columns: int) -> float:
        """Return the operations a second of a shape."""
        points = [_place(rows, ROWS), _place(summed, SUMMED), _place(columns, COLUMNS)]
        rate, weight = 0.0, 0.0
        for corner in itertools.product((0, 1), repeat=3):
            share = math.prod(f if c else 1 - f for c, (_, f) in zip(corner, points, strict=True))
            at = [low + c for c, (low, _) in zip(corner, points, strict=True)]
            index = (at[0] * len(SUMMED) + at[1]) * len(COLUMNS) + at[2] if _inside(at) else -1
            if share > 0 and index >= 0 and table[index] > 0:
                shape = ROWS[at[0]] * SUMMED[at[1]] * COLUMNS[at[2]]
                rate += share * math.log(2.0 * shape / table[index])
                weight += share
        if weight:
            return math.exp(rate / weight)
        return max(2.0 * math.prod(s) / t for s, t in zip(_grid(), table, strict=True) if t > 0)

    def moving(self, taken: float) -> float:
        """Return the seconds to read and write `taken` bytes in all."""
        elements = max(taken / 8, 1.0)  # read and written
        low, share = _place(elements, SIZES)
        high = min(low + 1, len(SIZES) - 1)
        first, second = self.traffic[low] / SIZES[low], self.traffic[high] / SIZES[high]
        each = math.exp((1 - share) * math.log(first) + share * math.log(second))
        return elements * each


def between(measured: Sequence[float], elements: float) -> float:
    """Return the rate for an array of some size, from those of a small and of a large one."""
    small, large = measured
    share = math.log(max(elements, 1.0) / SMALL) / math.log(LARGE / SMALL)
    share = min(max(share, 0.0), 1.0)
    return math.exp((1 - share) * math.log(small) + share * math.log(large))


def rates(again: bool = False) -> Rates:
    """Return the rates of this machine; the first call measures them, in about twenty seconds.

    Args:
        again: Measure even if there are rates.
    """
    key = _key()
    kept = None if again else recall(FILE, key)
    if isinstance(kept, dict):
        return Rates(**kept)
    measured = measure()
    remember(FILE, key, asdict(measured))
    return measured


def known() -> Rates | None:
    """Return the rates of this machine if they were measured before."""
    kept = recall(FILE, _key())
    return Rates(**kept) if isinstance(kept, dict) else None


def measure() -> Rates:
    """Measure this machine."""
    begun, waiting = time.perf_counter(), waited_seconds()
    types = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
    products = {name: [_product(shape, dtype) for shape in _grid()] for name, dtype in types.items()}
    start, plain = _started(), [_elementwise(size, lambda x: x * 0.9 + 0.1) for size in SIZES]
    functions = [_elementwise(size, jnp.exp) - plain[SIZES.index(size)] for size in (SMALL, LARGE)]
    measured = Rates(
        products,
        {name: _batched(dtype) for name, dtype in types.items()},
        # Of a small array little is left beside the start, and what is left is uncertain.
        [max(seconds - start, seconds / 4) for seconds in plain],
        [max(seconds, 1e-7) / size for seconds, size in zip(functions, (SMALL, LARGE), strict=True)],
        [_summing(size) for size in (SMALL, LARGE)],
        [_drawn(size) for size in (SMALL, LARGE)],
        start,
    )
    after = waited_seconds()
    if waiting is None or after is None:
        return measured
    return replace(measured, waited=min(1.0, (after - waiting) / (time.perf_counter() - begun)))


def _grid() -> list[tuple[int, int, int]]:
    return list(itertools.product(ROWS, SUMMED, COLUMNS))


def _product(shape: tuple[int, int, int], dtype: Any) -> float:
    rows, summed, columns = shape
    if 2.0 * rows * summed * columns > MOST_WORK * (1 if dtype == jnp.float32 else 0.3):
        return 0.0
    left, right = jnp.ones((rows, summed), dtype), jnp.ones((summed, columns), dtype)

    def once(carry: Any) -> Any:
        left, result = carry
        left = left.at[0, 0].set((result[0, 0] * 0).astype(dtype))
        return left, jax.lax.dot_general(left, right, (((1,), (0,)), ((), ())))

    return _per_pass(once, (left, jnp.zeros((rows, columns), dtype)))


def _batched(dtype: Any) -> float:
    left, right = jnp.ones((64, 64, 32), dtype), jnp.ones((64, 32, 64), dtype)

    def once(carry: Any) -> Any:
        left, result = carry
        left = left.at[0, 0, 0].set((result[0, 0, 0] * 0).astype(dtype))
        return left, jax.lax.dot_general(left, right, (((2,), (1,)), ((0,), (0,))))

    return _per_pass(once, (left, jnp.zeros((64, 64, 64), dtype)))


def _elementwise(size: int, function: Callable[[Any], Any]) -> float:
    def once(carry: Any) -> Any:
        first, _ = carry
        return function(first), first

    return _per_pass(once, (jnp.full(size, 0.5), jnp.zeros(size)))


def _summing(size: int) -> float:
    side = math.isqrt(size)

    def once(carry: Any) -> Any:
        array, total = carry
        array = array.at[0, 0].set(total[0] * 0)
        return array, array.sum(0) + array.sum(1)

    return _per_pass(once, (jnp.ones((side, side)), jnp.zeros(side))) / (2 * side**2)


def _drawn(size: int) -> float:
    def once(carry: Any) -> Any:
        key, _ = carry
        return key + 1, jax.random.bits(jax.random.wrap_key_data(key, impl="threefry2x32"), (size,))

    return _per_pass(once, (jnp.zeros(2, jnp.uint32), jnp.zeros(size, jnp.uint32))) / size


def _started() -> float:
    """Return the seconds of a tiny operation that the next one depends on."""
    matrix = jnp.eye(4) * 0.5

    def once(x: Any) -> Any:
        for _ in range(16):
            x = (x @ matrix).sum(0, keepdims=True) + x
        return x

    return _per_pass(once, jnp.ones((4, 4))) / 32


def _per_pass(once: Callable[[Any], Any], carry: Any) -> float:
    """Return the seconds of one pass of a loop, the fastest of several measurements."""

    def loop(count: Any, carry: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, carry: once(carry), carry)

    compiled, passes = jit(loop), 1
    seconds = _timed(compiled, passes, carry)
    while seconds < SECONDS and passes < 1 << 20:
        passes = max(2 * passes, min(16 * passes, int(passes * SECONDS / max(seconds, 1e-7))))
        seconds = _timed(compiled, passes, carry)
    return min([seconds, *(_timed(compiled, passes, carry) for _ in range(REPEATS - 1))]) / passes


def _timed(compiled: Callable[..., Any], passes: int, carry: Any) -> float:
    count = np.int32(passes)
    jax.block_until_ready(compiled(count, carry)) if passes == 1 else None
    started = time.perf_counter()
    jax.block_until_ready(compiled(count, carry))
    return time.perf_counter() - started


def _place(size: float, grid: tuple[int, ...]) -> tuple[int, float]:
    """Return the grid point below a size, and its logarithmic distance to the next one, as a share."""
    clipped = min(max(size, grid[0]), grid[-1])
    low = max(at for at, point in enumerate(grid) if point <= clipped)
    if low == len(grid) - 1:
        return low, 0.0
    return low, math.log(clipped / grid[low]) / math.log(grid[low + 1] / grid[low])


def _inside(at: list[int]) -> bool:
    return at[0] < len(ROWS) and at[1] < len(SUMMED) and at[2] < len(COLUMNS)


def _key() -> str:
    machine = (processor(), instruction_sets()[:64], usable_cores(), backend(), jaxlib.version.__version__)
    return f"{VERSION} {' | '.join(map(str, machine))}"
