"""The same training as a JAX user writes it by hand: Optax, one jitted `lax.scan` over a few hundred steps.

Two forms, by `setting["form"]`: `gather` takes each batch's rows by index inside the scan; `slices` permutes
the data once an epoch with NumPy and scans over slices. Images lie as float32, as most people would have
them.
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

CHUNK = 500  # steps in a dispatch: enough to hide it


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates."""
    x, y = images(setting["folder"], setting.get("rows"))
    form = Gathered(x, y, setting["batch"]) if setting["form"] == "gather" else Sliced(x, y, setting["batch"])
    rule = optax.sgd(0.01)
    params = start(setting["sizes"])
    held = [(params, rule.init(params))]
    steps = setting["steps"]

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for first in range(0, steps, CHUNK):
            held[0], losses = form.run(rule, held[0], min(CHUNK, steps - first))
            np.asarray(losses)
        return {
            "seconds": time.perf_counter() - begun,
            "examples": steps * setting["batch"],
            "steps": steps,
        }

    return block


def start(sizes: list[int]) -> list[tuple[jax.Array, jax.Array]]:
    """Return He's first weights, `(weight[in, out], bias[out])` a layer."""
    generator = np.random.default_rng(0)
    found = []
    for inputs, outputs in pairwise(sizes):
        weight = generator.normal(size=(inputs, outputs), scale=(2 / inputs) ** 0.5)
        found.append((jnp.asarray(weight, jnp.float32), jnp.zeros(outputs)))
    return found


class _Order:
    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int):
        self.x, self.y, self.batch = x, y, batch
        self._generator, self._left = np.random.default_rng(0), np.empty((0, batch), np.int32)

    def next(self, steps: int) -> np.ndarray:
        """Return the rows of the next `steps` batches, an epoch's order after the other."""
        while len(self._left) < steps:
            order = self._generator.permutation(len(self.x)).astype(np.int32)
            whole = len(order) // self.batch * self.batch
            self._left = np.concatenate([self._left, order[:whole].reshape(-1, self.batch)])
        found, self._left = self._left[:steps], self._left[steps:]
        return found


class Gathered(_Order):
    """Batches by index inside the scan."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int):
        super().__init__(x, y, batch)
        self._x, self._y = jnp.asarray(x), jnp.asarray(y)

    def run(self, rule: Any, carry: Any, steps: int) -> Any:
        """Make `steps` updates."""
        return _gathered(rule, carry, self._x, self._y, self.next(steps))


class Sliced(_Order):
    """Batches as slices of data that were permuted on the host."""

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
