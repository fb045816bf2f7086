"""`TreeInputs`: a tree of arrays, each kept as it is or standardised."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import DataError, did_you_mean
from thalweg.core.tree import dotted, paths
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.inputs.array import checked_numbers, mean_and_scale, plain_array

NONE, STANDARDISE = "none", "standardise"
NORMALISATIONS = (NONE, STANDARDISE)


@dataclass(frozen=True)
class TreeInputs(Columns):
    """Leaves that are numbers of any type; those that are standardised become float32.

    Args:
        names: Path of every leaf, such as `image` or `left.0`; a single array has the empty path.
        shapes: Shape of one example of each leaf.
        mean, scale: For each leaf one number for each position of its last axis: it enters the model as
            (x - mean) / scale. Empty: the leaf is used as it is.
    """

    kind: ClassVar[str] = "tree"
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    mean: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, train: PyTree, normalise: str | Mapping[str, str] = NONE) -> Self:
        """Compute means and scales from the training split.

        Args:
            train: The tree, `example ...`.
            normalise: `none`, `standardise` (every floating-point leaf that is not only zeros and ones), or
                what to do with single leaves, by path.

        Raises:
            DataError: `normalise` names no leaf, or nothing that can be done.
        """
        names, leaves = paths(train), [np.asarray(leaf) for leaf in jax.tree.leaves(train)]
        chosen = [_chosen(normalise, name, leaf, names) for name, leaf in zip(names, leaves, strict=True)]
        means, scales = [], []
        for leaf, how in zip(leaves, chosen, strict=True):
            width = leaf.shape[-1] if leaf.ndim > 1 else 1
            mean, scale = (
                mean_and_scale(leaf.reshape(-1, width)) if how == STANDARDISE else (np.zeros(0),) * 2
            )
            means.append(tuple(mean.tolist()))
            scales.append(tuple(scale.tolist()))
        return cls(tuple(names), tuple(leaf.shape[1:] for leaf in leaves), tuple(means), tuple(scales))

    def inputs(self, raw: Any) -> PyTree:
        """Return the tree, with some leaves standardised.

        Raises:
            DataError: The leaves are others than in training, or hold values that are not finite numbers.
        """
        leaves, treedef = jax.tree_util.tree_flatten_with_path(raw)
        names = tuple(dotted(path) for path, _ in leaves)
        if names != self.names:
            hint = "give the same tree of arrays as in training"
            raise DataError("data", f"must have the leaves {self.names}", got=names, hint=hint)
        arrays = [leaf_array(name, leaf) for name, (_, leaf) in zip(names, leaves, strict=True)]
        for name, array, shape in zip(names, arrays, self.shapes, strict=True):
            if array.shape[1:] != shape:
                rule = f"every example of {name or 'the array'} must have the shape {shape}"
                raise DataError("data", rule, got=array.shape[1:], hint="give it as in training")
        return jax.tree_util.tree_unflatten(treedef, list(map(_scaled, arrays, self.mean, self.scale)))

    def read(self, source: Path | Any, target: str) -> Any:
        """Return new data in memory as they are; there is no file that holds a tree."""
        if isinstance(source, Path):
            rule, hint = "takes a tree of arrays in memory", "read the file, and pass its arrays"
            raise DataError("predict", rule, got=source.name, hint=hint)
        return source


def leaf_array(name: str, leaf: Any) -> np.ndarray:
    """Return a leaf as an array of finite numbers; integers and booleans keep their type.

    Raises:
        DataError: It is none.
    """
    array = plain_array(name or "data", leaf) if hasattr(leaf, "dtype") else leaf
    if isinstance(array, np.ndarray) and array.dtype == bool and array.ndim:
        return array
    numbers = checked_numbers(name or "data", array)
    return numbers.astype(np.float32) if numbers.dtype in (np.float64, np.float16) else _narrow(name, numbers)


def _narrow(name: str, array: np.ndarray) -> np.ndarray:
    """Return 64-bit integers as 32-bit ones, which is what the device has."""
    if array.dtype not in (np.int64, np.uint64):
        return array
    ends = np.iinfo(np.int32)
    if array.size and (array.min() < ends.min or array.max() > ends.max):
        hint = "number them from 0, or give them as floating-point numbers"
        got = f"{array.min()} to {array.max()}"
        raise DataError("data", f"integers of {name or 'the array'} must fit 32 bits", got=got, hint=hint)
    return array.astype(np.int32)


def _scaled(array: np.ndarray, mean: tuple[float, ...], scale: tuple[float, ...]) -> np.ndarray:
    if not scale:
        return array
    width = array.shape[-1] if array.ndim > 1 else 1
    flat = array.reshape(-1, width).astype(np.float64)
    return ((flat - mean) / np.asarray(scale)).astype(np.float32).reshape(array.shape)


def _chosen(normalise: Any, name: str, leaf: np.ndarray, names: list[str]) -> str:
    """Return what to do with a leaf."""
    if isinstance(normalise, Mapping):
        for given in normalise:
            if given not in names:
                hint = did_you_mean(str(given), names)
                raise DataError("data", "normalise must name leaves of the data", got=given, hint=hint)
        how = normalise.get(name, NONE)
    else:
        binary = bool(np.isin(leaf, (0, 1)).all())
        how = NONE if leaf.dtype.kind != "f" or (normalise == STANDARDISE and binary) else normalise
        how = normalise if normalise not in NORMALISATIONS else how
    if how not in NORMALISATIONS:
        rule = f"normalise must be {' or '.join(NORMALISATIONS)}"
        raise DataError(
            "data", rule, got=how, where=name or None, hint=did_you_mean(str(how), NORMALISATIONS)
        )
    return how
