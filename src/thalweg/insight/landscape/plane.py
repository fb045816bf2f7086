"""Planes in the space of weights: an origin, two directions, and the window that is drawn.

- `random`: two random directions, scaled filter by filter to the norm of the weights (Li et al., Visualizing
  the Loss Landscape of Neural Nets, 2018, section 4), so that pictures of networks whose weights differ in
  scale can be compared. Biases and the scales of norm layers stay as they are, as in their published code.
- `path`: the two principal components of the weights along a run (Li et al., section 7; Lorch, Visualizing
  Deep Network Training Trajectories with PCA, 2016). Random directions are nearly orthogonal to any path.
- `runs`: the plane through three networks (Garipov et al., Loss Surfaces, Mode Connectivity, and Fast
  Ensembling of DNNs, 2018, section 3), in units of distance.
- `parameters`: the two parameters of a surface themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from thalweg.core import tree
from thalweg.core.errors import ModelError
from thalweg.insight.wording import percent

RANDOM, PATH, RUNS, PARAMETERS = "random", "path", "runs", "parameters"
KINDS = (RANDOM, PATH, RUNS)
# Room around what a plane must show, as a share of its extent.
MARGIN = 0.25


@dataclass(frozen=True)
class Plane:
    """A plane in the space of weights.

    Args:
        kind: `random`, `path`, `runs` or `parameters`.
        origin: Parameters at the coordinates (0, 0).
        directions: Two trees like them.
        window: Lowest and highest first coordinate, lowest and highest second.
        names: Of the two axes.
        explained: Shares of the path's variance along the two directions; None for other planes.
    """

    kind: str
    origin: PyTree
    directions: tuple[PyTree, PyTree]
    window: tuple[float, float, float, float]
    names: tuple[str, str]
    explained: tuple[float, float] | None = None

    def coordinates(self, weights: Sequence[PyTree]) -> Float[np.ndarray, "point 2"]:
        """Return the coordinates of the points of the plane that are nearest to these parameters."""
        axes = np.stack([_flat(direction) for direction in self.directions], axis=1)
        offsets = np.stack([_flat(each) - _flat(self.origin) for each in weights], axis=1)
        return np.linalg.lstsq(axes, offsets, rcond=None)[0].T

    def distances(self, weights: Sequence[PyTree]) -> Float[np.ndarray, " point"]:
        """Return how far these parameters are from the plane, relative to their distance from the origin."""
        axes = np.stack([_flat(direction) for direction in self.directions], axis=1)
        offsets = np.stack([_flat(each) - _flat(self.origin) for each in weights], axis=1)
        inside = axes @ self.coordinates(weights).T
        whole = np.linalg.norm(offsets, axis=0)
        return np.linalg.norm(offsets - inside, axis=0) / np.where(whole > 0, whole, 1.0)

    @property
    def sentence(self) -> str:
        """What the two directions are."""
        if self.kind == RANDOM:
            return "The plane is spanned by two random directions, scaled filter by filter to the weights."
        if self.kind == RUNS:
            return "The plane goes through all three runs; its axes are in units of distance between weights."
        if self.explained is not None:
            shares = percent(sum(self.explained), 1)
            return f"The plane is that of the path's two principal components: {shares} of its variance."
        return "The axes are the two parameters themselves."


def random_plane(params: PyTree, seed: int = 0, span: float = 1.0) -> Plane:
    """Return the plane of two random directions with filter normalisation.

    Args:
        params: Where the origin is.
        seed: Of the directions.
        span: Half of the window's side; 1 changes every filter by its own norm.

    Raises:
        ModelError: The model has no matrix or kernel, whose rows are filters.
    """
    roles, random = tree.roles(params), np.random.default_rng(seed)
    if not any(map(_has_filters, jax.tree.leaves(params), jax.tree.leaves(roles))):
        rule, hint = "random directions need a model with matrices or kernels", "draw the plane of the path"
        raise ModelError("landscape", rule, got="none", hint=hint)
    first, second = (_random_direction(params, roles, random) for _ in range(2))
    names = ("first random direction", "second random direction")
    return Plane(RANDOM, params, (first, second), (-span, span, -span, span), names)


def path_plane(weights: Sequence[PyTree], origin: PyTree) -> Plane:
    """Return the plane of the two principal components of a path, through its end.

    Args:
        weights: Parameters along the path, at least two that differ from the origin.
        origin: The end of the path.

    Raises:
        ModelError: The path has no two directions.
    """
    base = _flat(origin)
    offsets = np.stack([_flat(each) - base for each in weights]).astype(np.float64)
    # Through the end and not the mean, so that the end lies in the plane exactly.
    left, scales, _ = np.linalg.svd(offsets @ offsets.T, hermitian=True)
    if len(weights) < 2 or not scales[0] > 0 or not scales[1] > 1e-12 * scales[0]:
        rule = "the plane of a path needs weights that move in at least two directions"
        raise ModelError("landscape", rule, got=f"{len(weights)} weights", hint="train longer")
    axes = (left[:, :2].T @ offsets) / np.sqrt(scales[:2])[:, None]
    at = offsets @ axes.T
    shares = scales / scales.sum()
    names = (
        f"first principal component, {percent(shares[0], 1)}",
        f"second principal component, {percent(shares[1], 1)}",
    )
    directions = (_unflat(axes[0], origin), _unflat(axes[1], origin))
    return Plane(PATH, origin, directions, _window(at), names, (float(shares[0]), float(shares[1])))


def runs_plane(weights: Sequence[PyTree]) -> Plane:
    """Return the plane through three networks: the first is the origin, the second lies on the first axis.

    Raises:
        ModelError: They lie on a line.
    """
    first, second, third = (_flat(each).astype(np.float64) for each in weights)
    along = second - first
    length = np.linalg.norm(along)
    across = third - first
    if length > 0:
        across = across - (across @ along) / length**2 * along
    height = np.linalg.norm(across)
    if not length > 0 or not height > 1e-6 * np.linalg.norm(third - first):
        rule, hint = "the three runs must not lie on a line", "give runs of three different seeds"
        raise ModelError("landscape", rule, got="two that are equal, or one between the others", hint=hint)
    axes = along / length, across / height
    at = np.array([[0.0, 0.0], [length, 0.0], [(third - first) @ axes[0], height]])
    directions = (_unflat(axes[0], weights[0]), _unflat(axes[1], weights[0]))
    names = "distance along the first two runs", "distance towards the third"
    return Plane(RUNS, weights[0], directions, _window(at), names)


def parameter_plane(params: PyTree, window: tuple[float, float, float, float]) -> Plane:
    """Return the plane of a model that has two parameters."""
    zeros = jax.tree.map(np.zeros_like, params)
    directions = (_unflat(np.array([1.0, 0.0]), params), _unflat(np.array([0.0, 1.0]), params))
    return Plane(PARAMETERS, zeros, directions, window, ("w0", "w1"))


def _window(at: Float[np.ndarray, "point 2"]) -> tuple[float, float, float, float]:
    """Return a square window around points, with equal units on both axes."""
    low, high = at.min(axis=0), at.max(axis=0)
    middle, half = (low + high) / 2, (0.5 + MARGIN) * float((high - low).max())
    ends = [(float(centre - half), float(centre + half)) for centre in middle]
    return (*ends[0], *ends[1])


def _random_direction(params: PyTree, roles: PyTree, random: np.random.Generator) -> PyTree:
    leaves, treedef = jax.tree.flatten(params)
    directions = [
        _filtered(random.standard_normal(leaf.shape), np.asarray(leaf))
        if _has_filters(leaf, role)
        else np.zeros_like(leaf)
        for leaf, role in zip(leaves, jax.tree.leaves(roles), strict=True)
    ]
    return jax.tree.unflatten(treedef, directions)


def _has_filters(leaf: Any, role: str) -> bool:
    return leaf.ndim >= 2 and role not in (tree.BIAS, tree.SCALE)


def _filtered(direction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scale every filter of a random direction to the norm of that filter of the weights.

    The first axis is that of the filters: the outputs of a matrix or a kernel, the rows of an embedding.
    """
    axes = tuple(range(1, weights.ndim))
    drawn, own = (np.sqrt(np.square(each).sum(axis=axes, keepdims=True)) for each in (direction, weights))
    return (direction * own / drawn).astype(weights.dtype)


def _flat(params: PyTree) -> Float[np.ndarray, " parameter"]:
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(params)])


def _unflat(values: Float[np.ndarray, " parameter"], like: PyTree) -> PyTree:
    leaves, treedef = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = np.split(values, ends[:-1])
    shaped = [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(treedef, shaped)
