"""Weights on disk: safetensors, named by their path in the model. Nothing is executed when they are read."""

import json
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
from thalweg.core.errors import ModelError, RunFolderError
from thalweg.core.tree import dotted

STATE = "state:"  # prefix of arrays that change without gradients (batch-norm statistics)


def packed(weights: tuple[PyTree, PyTree], facts: dict[str, Any]) -> bytes:
    """Return weights (parameters and model state) as a safetensors file; `facts` (step, which weights) goes
    into its header.
    """
    params, model_state = weights
    arrays = named(params) | {STATE + name: value for name, value in named(model_state).items()}
    return safetensors.numpy.save(arrays, metadata={"thalweg": json.dumps(facts)})


def load(path: Path) -> dict[str, np.ndarray]:
    """Read arrays by name.

    Raises:
        RunFolderError: The file is missing or damaged.
    """
    try:
        return safetensors.numpy.load_file(path)
    except FileNotFoundError as error:
        raise RunFolderError(
            "run",
            "the weights must be there",
            got=str(path),
            hint="the run may have been killed before it wrote them",
        ) from error
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise RunFolderError(
            "run",
            "the weights must be readable",
            got=str(error),
            where=path,
            hint="the file is damaged; restore a copy or train again",
        ) from error


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """Return a tree's arrays by dotted path."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        dotted(path): np.asarray(keys.plain(leaf), order="C") for path, leaf in flat if eqx.is_array(leaf)
    }


def restored(tree: PyTree, arrays: dict[str, np.ndarray], prefix: str = "") -> PyTree:
    """Return `tree` with every array taken from `arrays` by its path.

    Raises:
        ModelError: An array is missing or has another shape.
    """

    def one(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        name = prefix + dotted(path)
        found, wanted = arrays.get(name), keys.plain(leaf).shape
        if found is None or found.shape != wanted:
            raise ModelError(
                "model",
                "must be the one that the weights were saved from",
                got=None if found is None else f"shape {found.shape} in the file",
                where=f"{name}, shape {wanted} in the model",
                hint="give the same model as in training",
            )
        return keys.as_before(found, leaf)

    return jax.tree_util.tree_map_with_path(one, tree)


def transferred(params: PyTree, arrays: dict[str, np.ndarray]) -> tuple[PyTree, list[str]]:
    """Return `params` with those arrays taken over whose path and shape agree, and the paths that do not.

    Raises:
        ModelError: Nothing agrees.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(params)
    leaves, fresh = [], []
    for path, leaf in flat:
        found = arrays.get(dotted(path))
        fits = found is not None and found.shape == leaf.shape
        leaves.append(jnp.asarray(found, leaf.dtype) if fits else leaf)
        fresh += [] if fits else [dotted(path)]
    if len(fresh) == len(flat):
        raise ModelError(
            "model",
            "must share layers with the run it starts from",
            got=", ".join(f"{dotted(p)} {leaf.shape}" for p, leaf in flat[:4]),
            hint="use the same --model as that run",
        )
    return jax.tree_util.tree_unflatten(treedef, leaves), fresh
