"""The same training, hand-written in JAX: Optax and one jitted `lax.scan` over a few hundred steps.

`setting["form"]` is one of two variants: `gather` takes the rows of each batch by index inside the scan;
`slices` permutes the data once per epoch with NumPy and scans over slices. Images are stored as float32, as
is usual.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.contestants.mnist import images

CHUNK = 500  # steps per dispatch: enough to hide its cost


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates."""
    x, y = images(setting["folder"], setting.get("rows"))
    variant = (
        Gathered(x, y, setting["batch"]) if setting["form"] == "gather" else Sliced(x, y, setting["batch"])
    )
    rule = optax.sgd(0.01)
    params = start(setting["sizes"])
    carry = [(params, rule.init(params))]
    steps = setting["steps"]

    def block() -> dict[str, Any]:
        start_time = time.perf_counter()
        for first in range(0, steps, CHUNK):
            carry[0], losses = variant.run(rule, carry[0], min(CHUNK, steps - first))
            np.asarray(losses)
        return {
            "seconds": time.perf_counter() - start_time,
            "examples": steps * setting["batch"],
            "steps": steps,
        }

    return block


def start(sizes: list[int]) -> list[tuple[jax.Array, jax.Array]]:
    """Return initial weights by He's rule, `(weight[in, out], bias[out])` per layer."""
    generator = np.random.default_rng(0)
    layers = []
    for inputs, outputs in pairwise(sizes):
        weight = generator.normal(size=(inputs, outputs), scale=(2 / inputs) ** 0.5)
        layers.append((jnp.asarray(weight, jnp.float32), jnp.zeros(outputs)))
    return layers


class _Order:
    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int):
        self.x, self.y, self.batch = x, y, batch
        self._generator, self._left = np.random.default_rng(0), np.empty((0, batch), np.int32)

    def next(self, steps: int) -> np.ndarray:
        """Return the rows of the next `steps` batches, epoch after epoch."""
        while len(self._left) < steps:
            order = self._generator.permutation(len(self.x)).astype(np.int32)
            whole = len(order) // self.batch * self.batch
            self._left = np.concatenate([self._left, order[:whole].reshape(-1, self.batch)])
        rows, self._left = self._left[:steps], self._left[steps:]
        return rows


class Gathered(_Order):
    """Batches taken by index inside the scan."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int):
        super().__init__(x, y, batch)
        self._x, self._y = jnp.asarray(x), jnp.asarray(y)

    def run(self, rule: Any, carry: Any, steps: int) -> Any:
        """Make `steps` updates."""
        return _gathered(rule, carry, self._x, self._y, self.next(steps))


class Sliced(_Order):
    """Batches as slices of data permuted on the host."""

    def run(self, rule: Any, carry: Any, steps: int) -> Any:
        """Make `steps` updates."""
        rows = self.next(steps)
        return _sliced(rule, carry, self.x[rows], self.y[rows])


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _gathered(rule: Any, carry: Any, x: jax.Array, y: jax.Array, order: jax.Array) -> Any:
    return jax.lax.scan(lambda carry, rows: _step(rule, carry, x[rows], y[rows]), carry, order)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _sliced(rule: Any, carry: Any, x: jax.Array, y: jax.Array) -> Any:
    return jax.lax.scan(lambda carry, batch: _step(rule, carry, *batch), carry, (x, y))


def _step(rule: Any, carry: Any, x: jax.Array, y: jax.Array) -> Any:
    params, state = carry
    loss, grads = jax.value_and_grad(_loss)(params, x, y)
    updates, state = rule.update(grads, state, params)
    return (optax.apply_updates(params, updates), state), loss


def _loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    logits = x @ params[-1][0] + params[-1][1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
