"""`LoadOptions`: everything that may be said about reading a data set, checked before any work."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION

RANDOM, TIME, GROUP = "random", "time", "group="

# The field's usual shares: a fifth for the test, a tenth of the rest to decide when to stop.
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class LoadOptions:
    """How to read a data set.

    Args:
        target: Column to predict: its name, or its index from 0 (negative: from the end).
        test: Share of the rows for the test part (0: none), or where the test part lies (a path, a frame,
            a pair of arrays). None: the set's own test part, else 0.2.
        validation: Share of the training part that is taken out to decide when to stop; 0 for none.
        split: `random` (stratified for classes), `time` (in row order: train, validation, test) or
            `group=COLUMN` (rows with the same value stay in one part).
        split_seed: Selects one of the random splits; the parts are a pure function of it.
        header: Whether the first line of a CSV file holds the names. Without, columns are
            `column_0`, `column_1`, ..., numbered as `target` counts.
        missing: Further marks for a missing value, such as `?`. Empty cells, NA, NaN, null are known.
        folder: Where named sets are looked for, ahead of the environment variable THALWEG_DATA.
        drop: Columns to leave out.
        keep: Columns to use although they look like row numbers or identifiers.
        task: `classification` or `regression`, where the target does not make it plain.
        context: Window length for text, in tokens. 64 is nanoGPT's setting for small machines.
        lines: Whether each line of a text is an example of its own (names, words), with a beginning and an
            end; else the text is one long stream.
        window: Rows of a time series that the model sees at a time; None: rows are no series.
        horizon: Values of the target that follow the window and are predicted, in rows.
        name: Name of the set; None: from the file or the named set.
    """

    target: str | int | None = None
    test: Any = None
    validation: float = VALIDATION_SHARE
    split: str = RANDOM
    split_seed: int = 0
    header: bool = True
    missing: tuple[str, ...] = ()
    folder: Path | str | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    task: str | None = None
    context: int = 64
    lines: bool = False
    window: int | None = None
    horizon: int = 1
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("missing", "drop", "keep"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        object.__setattr__(self, "test", _number_if_plain(self.test))
        _check_share("validation", self.validation)
        if isinstance(self.test, float):
            _check_share("test", self.test)
        _check_choices(self)

    @property
    def test_share(self) -> float:
        """The share of rows for the test part, when the set has none of its own."""
        return self.test if isinstance(self.test, float) else TEST_SHARE

    @property
    def group(self) -> str | None:
        """The column of `group=COLUMN`, else None."""
        return self.split.removeprefix(GROUP) if self.split.startswith(GROUP) else None

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults as plain values; things in memory become `in memory`."""
        # Made plain first: a frame does not compare to a truth value.
        told = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {f.name: told[f.name] for f in fields(self) if told[f.name] != _plain(f.default)}


def options_from(options: LoadOptions | None, settings: Mapping[str, Any]) -> LoadOptions:
    """Return `options` (or the defaults) with `settings` applied.

    Raises:
        DataError: A setting is unknown, or a value is impossible.
    """
    known = [f.name for f in fields(LoadOptions)]
    for name in settings:
        if name not in known:
            raise DataError("load", f"has no option {name!r}", hint=did_you_mean(name, known))
    return replace(options or LoadOptions(), **settings)


def _number_if_plain(value: Any) -> Any:
    """A test part may be said as `0.3` or `"0.3"`; anything else is left alone."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _check_share(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value < 1:
        raise DataError(
            "load",
            f"{name} must be a share of the rows, at least 0 and below 1",
            got=value,
            hint=f"for example {name}=0.2",
        )


def _check_choices(options: LoadOptions) -> None:
    split = options.split
    if split not in (RANDOM, TIME) and not (split.startswith(GROUP) and split != GROUP):
        raise DataError(
            "load", "split must be random, time or group=COLUMN", got=split, hint="try split=random"
        )
    if options.task not in (None, CLASSIFICATION, REGRESSION):
        raise DataError(
            "load",
            "task must be classification or regression",
            got=options.task,
            hint="leave it out to have it read from the target",
        )
    if isinstance(options.split_seed, bool) or not isinstance(options.split_seed, int):
        raise DataError("load", "split_seed must be a whole number", got=options.split_seed, hint="try 0")
    _check_whole("context", options.context, "tokens", "try 64")
    _check_whole("horizon", options.horizon, "rows", "try 1")
    if options.window is not None:
        _check_whole("window", options.window, "rows", "try 24")
    elif options.horizon != 1:
        raise DataError("load", "horizon needs a window", got=options.horizon, hint="for example window=24")


def _check_whole(name: str, value: Any, unit: str, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError("load", f"{name} must be a whole number of {unit}, at least 1", got=value, hint=hint)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value) if all(isinstance(item, str) for item in value) else "in memory"
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else "in memory"
