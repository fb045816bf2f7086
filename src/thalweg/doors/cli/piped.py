"""Data from standard input: `thalweg predict RUN -`, `thalweg evaluate RUN -`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from thalweg.problem.data.files.piped import STANDARD_INPUT, spooled


@contextmanager
def piped(source: str) -> Iterator[str]:
    """Yield the path of standard input's content for `-`, which lives as long as the block; else the source.

    Raises:
        DataError: Nothing is piped in, or more than `core.limits` allows.
    """
    if source != STANDARD_INPUT:
        yield source
        return
    with spooled(sys.stdin.buffer, "cat new.csv | thalweg predict RUN -") as path:
        yield str(path)
