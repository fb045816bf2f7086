"""Shared by the tests of data: expecting a DataError, and small tables."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from thalweg.core.errors import DataError

REAL = Path(os.environ.get("THALWEG_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_real = pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="needs the real data in THALWEG_DATA")


@contextmanager
def refused(*words, who=None):
    """Expect a DataError with a hint whose message contains all the words."""
    with pytest.raises(DataError) as caught:
        yield caught
    error = caught.value
    text = str(error)
    for word in words:
        assert word in text, text
    assert error.hint, "an error without a hint"
    assert not re.search(r"np\.(int|float|str|bool)", text), text
    if who is not None:
        assert error.who == who


def csv(path, columns):
    """Write columns (name to values) as a CSV file and return its path."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
