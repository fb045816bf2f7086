"""Counting whole epochs of libraries that train by epochs and tell when one has ended."""

import time
from typing import Any


class Epochs:
    """How many epochs a block trains, and when each ended.

    A block's seconds begin at the end of an epoch that is made and not counted, as people see it in a long
    run: what a library does once per `fit` is left out. With `cold` in the setting it begins at once.

    Args:
        setting: `epochs` to count, `batch`, and perhaps `cold`.
        rows: Examples in the training part; an epoch drops its last, short batch.
    """

    def __init__(self, setting: dict[str, Any], rows: int):
        self._cold = setting.get("cold", False)
        self._counted = setting["epochs"]
        self._examples = rows // setting["batch"] * setting["batch"]
        self._marks: list[float] = []

    @property
    def total(self) -> int:
        """Epochs to train in a block."""
        return self._counted + (0 if self._cold else 1)

    def begin(self) -> None:
        """Note that a block begins."""
        self._marks = [time.perf_counter()]

    def end(self, *_: Any, **__: Any) -> None:
        """Note that an epoch has ended; takes whatever a library hands to those it calls."""
        self._marks.append(time.perf_counter())

    def block(self) -> dict[str, Any]:
        """Return what the block that has just ended tells."""
        first = self._marks[0 if self._cold else 1]
        return {"seconds": self._marks[-1] - first, "examples": self._counted * self._examples}
