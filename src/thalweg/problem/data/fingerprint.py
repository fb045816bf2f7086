"""A fingerprint of a data set: another fingerprint is other data."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from thalweg.problem.data.split import Split


def fingerprint(splits: Mapping[str, Split]) -> str:
    """Return the SHA-256, in hex, over names, types, shapes and bytes of all arrays of all splits."""
    digest = hashlib.sha256()
    for name, part in splits.items():
        digest.update(name.encode())
        for leaf in jax.tree.leaves(part):
            array: np.ndarray = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


class Awaited:
    """A dataclass's field that is a text, or a text to come, which is waited for where it is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> str:
        if instance is None:
            return ""  # the default
        found = instance.__dict__[self._name]
        if isinstance(found, Future):
            found = instance.__dict__[self._name] = found.result()
        return found

    def __set__(self, instance: Any, value: str | Future[str]) -> None:
        instance.__dict__[self._name] = value
