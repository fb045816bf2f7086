"""A fingerprint of a data set: another fingerprint is other data."""

import hashlib
from collections.abc import Mapping

import jax
import numpy as np

from thalweg.problem.data.part import Part


def fingerprint(parts: Mapping[str, Part]) -> str:
    """Return the SHA-256, in hex, over names, types, shapes and bytes of all arrays of all parts."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        digest.update(name.encode())
        for leaf in jax.tree.leaves(part):
            array: np.ndarray = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
