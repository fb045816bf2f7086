"""`examples`: a tree of arrays to `Data`: inputs of several kinds, with or without targets."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.arguments import checked
from thalweg.core.errors import DataError
from thalweg.core.lazy import in_background
from thalweg.core.tree import dotted
from thalweg.problem.data.data import EXAMPLES, IN_MEMORY, Data, fingerprint
from thalweg.problem.data.inputs.tree import NONE, TreeInputs, leaf_array
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.data.splitting import first_copies, row_hashes, split_rows, units_of
from thalweg.problem.data.tree_targets import Targets
from thalweg.problem.data.weights import checked_weights, reject_weights, rows_of, weights_by_split


@checked(DataError)
def examples(
    tree: Any,
    *,
    targets: Any = None,
    weights: Any = None,
    validation: float = 0.1,
    test: Any = 0.2,
    normalise: str | Mapping[str, str] = NONE,
    split: str = "random",
    split_seed: int = 0,
    name: str = "examples",
) -> Data:
    """Return data: examples along the first axis of every array of a tree, for an objective or with targets.

    Args:
        tree: An array, or a dictionary, tuple, list, dataclass (registered with JAX) or Equinox module of
            arrays, `example ...`. Floating-point arrays become float32; others keep their type.
        targets: What a loss compares outputs with: one array (classes or values, as for `load`), or several
            of mixed kinds, by name in a dictionary or in a list (`problem.heads`). None: whatever an
            objective makes of the tree.
        weights: What each example counts in the loss and the metrics, `example`: at least 0, and not all 0.
            They are divided by their mean over each split.
        validation, test: Shares of the examples, at least 0 and below 1; `test` may be a tree of its own, or
            a pair of a tree and its targets. Examples that are equal are kept in one split.
        normalise: `none`: the arrays enter the model as they are; `standardise`: every floating-point array
            that holds more than zeros and ones enters with mean 0 and standard deviation 1 along its last
            axis; or either of them by path, `{"image": "standardise"}`.
        split: `random` or `time` (the last examples are held out).
        split_seed: Seed of the random splits.
        name: Name of the data, from which run folders are named.

    Raises:
        DataError: Arrays are missing, empty, of different lengths, or hold values that are not finite.

    Example:
        >>> import numpy as np, thalweg as tw
        >>> tw.examples({"left": np.zeros((50, 3)), "right": np.ones((50, 3))}, test=0.1).train.count()
        40
    """
    arrays, count = _checked(tree, "data")
    share = test if isinstance(test, (int, float)) and not isinstance(test, bool) else 0.0
    options = LoadOptions(validation=validation, test=float(share), split=split, split_seed=split_seed)
    hashes = np.array([row_hashes(leaf) for leaf in jax.tree.leaves(arrays)])
    units, notes = units_of(first_copies(row_hashes(hashes.T)), split == "random")
    encoded = None if targets is None else Targets.of(targets, count)
    labels = None if encoded is None else encoded.strata
    rows = split_rows(count, options, labels=labels, units=units).by_name()
    by_split = {each: jax.tree.map(lambda leaf, at=at: leaf[at], arrays) for each, at in rows.items()}
    own: Any = None
    if test is not None and not isinstance(test, (int, float)):
        given, own = (
            test if encoded is not None and isinstance(test, tuple) and len(test) == 2 else (test, None)
        )
        by_split["test"], number = _checked(given, "test")
        if encoded is not None:
            own = encoded.known(own, number)
    columns = TreeInputs.fit(by_split["train"], normalise)
    inputs = {each: columns.inputs(leaves) for each, leaves in by_split.items()}
    if encoded is None:
        reject_weights(weights)
        splits: dict[str, Split] = {each: Rows(leaves, ()) for each, leaves in inputs.items()}
        data = Data.of_splits(name, EXAMPLES, splits, Preparation(columns, target="none"), notes, rows)
    else:
        prepared, given_targets = encoded.prepared(columns, rows, own)
        counted = weights_by_split(None if weights is None else checked_weights(weights, count), rows)
        splits = {each: rows_of(inputs[each], given_targets[each], counted.get(each)) for each in inputs}
        data = Data.of_splits(name, encoded.task, splits, prepared, notes, rows)
    source = {"from": IN_MEMORY, "options": options.to_dict()}
    return data.with_source(source, in_background(lambda: fingerprint(splits)))


def is_tree(source: Any) -> bool:
    """Return whether something is a tree of arrays rather than a name, a path, an array or a frame."""
    if isinstance(source, (str, bytes)) or hasattr(source, "columns"):
        return False
    leaves = jax.tree.leaves(source)
    return bool(leaves) and all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves)


def _checked(tree: PyTree, who: str) -> tuple[PyTree, int]:
    """Return the tree with its leaves as arrays, and how many examples it has.

    Raises:
        DataError: It has no arrays, or they differ in length.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree)
    if not leaves:
        hint = "for example {'x': x} or (x, y)"
        raise DataError(who, "must hold arrays", got=type(tree).__name__, hint=hint)
    arrays = {dotted(path): leaf_array(dotted(path), leaf) for path, leaf in leaves}
    counts = {name: array.shape[0] for name, array in arrays.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        got = ", ".join(f"{name or 'the array'}: {count}" for name, count in counts.items())
        hint = "check that all of them come from the same examples"
        raise DataError(who, "arrays must have the same number of examples, at least 1", got=got, hint=hint)
    return jax.tree_util.tree_unflatten(treedef, list(arrays.values())), next(iter(counts.values()))
