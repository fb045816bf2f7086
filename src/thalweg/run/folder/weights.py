"""Weights as safetensors files: arrays named by their path in the model. Reading executes no code."""

import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.caller import option_name
from thalweg.core.disk import DISK
from thalweg.core.errors import ModelError, RunFolderError
from thalweg.core.tree import dotted
from thalweg.run.folder.filesystem import unreadable
from thalweg.run.folder.folder import LARGEST_FILE, WEIGHTS, is_run, missing_weights, read_weights

STATE = "state:"  # prefix of arrays that change without gradients (batch-norm statistics)


def pack(weights: tuple[PyTree, PyTree], facts: dict[str, Any]) -> bytes:
    """Return the content of a safetensors file.

    Args:
        weights: Parameters and model state.
        facts: Plain JSON for the header: the step, and which weights these are.
    """
    params, model_state = weights
    arrays = named_arrays(params) | {STATE + name: value for name, value in named_arrays(model_state).items()}
    return safetensors.numpy.save(arrays, metadata={"thalweg": json.dumps(facts)})


def load(path: Path, unverified: bool = False, hint: str | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of a file by name, after verifying it.

    A file that no run.json next to it lists was not written by a run, and is read as it is.

    Args:
        path: A file of weights; of a run folder if its name is one of `WEIGHTS`.
        unverified: Whether a file of a run without a checksum may be used.
        hint: How to use it nevertheless; None for the option `unverified`.

    Raises:
        RunFolderError: The file is missing, damaged or unverified.
    """
    return arrays_in(content_of(path, unverified, hint), path)


def content_of(path: Path, unverified: bool = False, hint: str | None = None) -> bytes:
    """Read a file of weights, and verify it; arguments and errors are those of `load`."""
    try:
        if path.name in WEIGHTS and is_run(path.parent):
            return read_weights(path.parent, path.name, unverified, hint)
        return DISK.read(Path(os.path.realpath(path)), LARGEST_FILE)  # the user may name a link
    except FileNotFoundError as error:
        raise missing_weights(path) from error
    except RunFolderError:  # a ValueError, too
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def arrays_in(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file by name.

    Raises:
        RunFolderError: It is damaged.
    """
    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise unreadable(path, error) from error


def named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the arrays of a tree by dotted path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        dotted(path): np.asarray(keys.plain(leaf), order="C") for path, leaf in leaves if eqx.is_array(leaf)
    }


def load_into(tree: PyTree, arrays: dict[str, np.ndarray], prefix: str = "") -> PyTree:
    """Return `tree` with every array, or shape, replaced by the array of its path in `arrays`.

    Raises:
        ModelError: An array is missing or has another shape.
    """

    def restore(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf) and not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        name, shape = prefix + dotted(path), keys.plain(leaf).shape
        array = arrays.get(name)
        if array is None or array.shape != shape:
            raise ModelError(
                "model",
                "must be the one that the weights were saved from",
                got=None if array is None else f"shape {array.shape} in the file",
                where=f"{name}, shape {shape} in the model",
                hint="give the same model as in training",
            )
        # `jnp.asarray` of a NumPy array compiles a program for its shape (JAX 0.10).
        return keys.as_before(jax.device_put(array), leaf)

    return jax.tree_util.tree_map_with_path(restore, tree)


def transfer(params: PyTree, arrays: dict[str, np.ndarray]) -> tuple[PyTree, list[str]]:
    """Return `params` with the arrays whose path and shape agree, and the paths of all others.

    Raises:
        ModelError: No array agrees.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(params)
    leaves, fresh = [], []
    for path, leaf in flat:
        array = arrays.get(dotted(path))
        if array is not None and array.shape == leaf.shape:
            leaves.append(jnp.asarray(array, leaf.dtype))
        else:
            leaves.append(leaf)
            fresh.append(dotted(path))
    if len(fresh) == len(flat):
        raise ModelError(
            "model",
            "must share layers with the run it starts from",
            got=", ".join(f"{dotted(path)} {leaf.shape}" for path, leaf in flat[:4]),
            hint=f"use the model of that run ({option_name('model')})",
        )
    return jax.tree_util.tree_unflatten(treedef, leaves), fresh
