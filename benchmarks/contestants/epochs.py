"""Timing of whole epochs, for libraries that train by epochs and have a callback at the end of each."""

import time
from typing import Any


class Epochs:
    """The number of epochs of a block, and the time at which each ended.

    The seconds of a block start at the end of an uncounted first epoch, as in a long run: what a library does
    once per `fit` is not included. With `cold` in the setting they start at once.

    Args:
        setting: `epochs` to count, `batch`, and optionally `cold`.
        rows: Examples in the training split; the last, short batch of an epoch is dropped.
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
        """Record the start of a block."""
        self._marks = [time.perf_counter()]

    def end(self, *_: Any, **__: Any) -> None:
        """Record the end of an epoch; accepts any arguments that a library passes to its callbacks."""
        self._marks.append(time.perf_counter())

    def block(self) -> dict[str, Any]:
        """Return the result of the block that has just ended."""
        first = self._marks[0 if self._cold else 1]
        return {"seconds": self._marks[-1] - first, "examples": self._counted * self._examples}
