"""Small synthetic sets, for learning and for tests: the data of textbooks, with noise.

A set is a pure function of its name: the numbers come from NumPy's Philox stream and transforms written here,
so that no library version changes them (except for the last bit of a sine).
"""

from collections.abc import Callable

import numpy as np

from thalweg.problem.data.files import RawArrays

# Key of the random stream, counted down from 255 next to the purposes of `thalweg.core.keys`.
SYNTHETIC = 255
COUNT = 1000  # rows in each set: few enough to train in seconds, enough for a meaningful test split


def make(name: str) -> RawArrays:
    """Make a set of 1,000 rows by name."""
    inputs, targets = SETS[name](_Noise(sorted(SETS).index(name)))
    return RawArrays(
        name, inputs.astype(np.float32), targets, target="class" if targets.dtype.kind == "i" else "y"
    )


class _Noise:
    """Uniform and normal numbers from one Philox stream."""

    def __init__(self, number: int):
        self.stream = np.random.Philox(key=np.array([number, SYNTHETIC], dtype=np.uint64))

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        words = self.stream.random_raw(int(np.prod(shape)))
        unit = (words >> np.uint64(11)).astype(np.float64) / 2.0**53
        return low + (high - low) * unit.reshape(shape)

    def normal(self, deviation: float, *shape: int) -> np.ndarray:
        # Box-Muller: sqrt(-2 ln u) cos(2 pi v), with u in (0, 1]
        u, v = 1.0 - self.uniform(0, 1, *shape), self.uniform(0, 1, *shape)
        return deviation * np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)


def xor(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """Points in a square; class 1 where the signs of the two coordinates differ."""
    x = noise.uniform(-1, 1, COUNT, 2)
    return x + noise.normal(0.02, COUNT, 2), (x[:, 0] * x[:, 1] < 0).astype(np.int64)


def moons(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half circles, with noise of deviation 0.1."""
    labels = np.arange(COUNT) % 2
    angle = noise.uniform(0, np.pi, COUNT)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(labels[:, None] == 0, upper, lower) + noise.normal(0.1, COUNT, 2), labels


def circles(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """A circle of radius 0.5 inside one of radius 1, with noise of deviation 0.08."""
    labels = np.arange(COUNT) % 2
    angle = noise.uniform(0, 2 * np.pi, COUNT)
    radius = np.where(labels == 0, 1.0, 0.5)[:, None]
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise.normal(0.08, COUNT, 2), labels


def spirals(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """Two spirals of one and a half turns each, with noise of deviation 0.02."""
    labels = np.arange(COUNT) % 2
    along = np.sqrt(noise.uniform(0.01, 1, COUNT))  # the root spreads points evenly over the area
    angle = 3 * np.pi * along + np.pi * labels
    points = along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + noise.normal(0.02, COUNT, 2), labels


def sine(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """y = sin(x) on two periods, with noise of deviation 0.1."""
    x = noise.uniform(-2 * np.pi, 2 * np.pi, COUNT, 1)
    return x, np.sin(x[:, 0]) + noise.normal(0.1, COUNT)


def linear(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """y = 3 x + 2 on -1..1, with noise of deviation 0.1."""
    x = noise.uniform(-1, 1, COUNT, 1)
    return x, 3 * x[:, 0] + 2 + noise.normal(0.1, COUNT)


def quadratic(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """y = x^2 on -1..1, with noise of deviation 0.05."""
    x = noise.uniform(-1, 1, COUNT, 1)
    return x, x[:, 0] ** 2 + noise.normal(0.05, COUNT)


SETS: dict[str, Callable[[_Noise], tuple[np.ndarray, np.ndarray]]] = {
    "xor": xor,
    "moons": moons,
    "circles": circles,
    "spirals": spirals,
    "sine": sine,
    "linear": linear,
    "quadratic": quadratic,
}
