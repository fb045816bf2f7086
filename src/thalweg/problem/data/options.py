"""`LoadOptions`: how to read a data set, checked before any work. `Reader`: one way to read a source."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.data import CLASSIFICATION, IN_MEMORY, REGRESSION, Data

RANDOM, TIME, GROUP = "random", "time", "group="

# The usual shares: a fifth for the test, a tenth of the rest for validation.
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class LoadOptions:
    """How to read a data set.

    Args:
        target: Column to predict: its name, or its index from 0 (negative: from the end).
        test: Share of the rows for the test split (0: none), or the test split itself (a path, a frame, a
            pair of arrays). None: the set's own test split, else 0.2.
        validation: Share of the training rows held out to decide when to stop; 0 for none.
        split: `random` (stratified for classes), `time` (in row order: train, validation, test) or
            `group=COLUMN` (rows with the same value stay in one split).
        split_seed: Selects one of the random splits; they are a pure function of it.
        header: Whether the first line of a CSV file holds the names. If not, columns are
            `column_0`, `column_1`, ..., numbered as `target` counts.
        missing: Further marks for a missing value, such as `?`. Empty cells, NA, NaN, null are known.
        folder: Folder with named sets, searched before the one in the environment variable THALWEG_DATA.
        drop: Columns to leave out.
        keep: Columns to use although they look like row numbers or identifiers.
        task: `classification` or `regression`; None: inferred from the target.
        context: Window length for text, in tokens. 64 is nanoGPT's setting for small machines.
        lines: Whether each line of a text is an example (names, words), with a beginning and an end;
            otherwise the text is one long stream.
        window: Rows of a time series that the model sees at a time; None: rows are not a series.
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
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "test", _number_if_possible(self.test))
        _check_share("validation", self.validation)
        if isinstance(self.test, float):
            _check_share("test", self.test)
        _check_choices(self)

    @property
    def test_share(self) -> float:
        """The share of rows for the test split, if there is no separate one."""
        return self.test if isinstance(self.test, float) else TEST_SHARE

    @property
    def separate_test(self) -> Any:
        """The test split itself (a path, a frame, a pair of arrays), or None."""
        return None if isinstance(self.test, float) else self.test

    @property
    def group(self) -> str | None:
        """The column of `group=COLUMN`, else None."""
        return self.split.removeprefix(GROUP) if self.split.startswith(GROUP) else None

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults as plain values; data in memory become `in memory`."""
        # Converted first: comparing a frame does not give a truth value.
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {f.name: plain[f.name] for f in fields(self) if plain[f.name] != _plain(f.default)}


@dataclass(frozen=True)
class Source:
    """The argument of `load`.

    Args:
        data: A path, the name of a set, or data in memory.
        suffix: Suffix of a file without `.gz`, such as `.csv`; empty for anything else.
        name: Name of the data set, unless the set itself has one.
    """

    data: Any
    suffix: str
    name: str

    @property
    def shown(self) -> str:
        """What was given, for messages: a path or name, or the type of data in memory."""
        return str(self.data) if isinstance(self.data, (str, Path)) else type(self.data).__name__


@dataclass(frozen=True)
class Reader:
    """One way to read a source; `reading.READERS` lists all of them.

    Args:
        accepts: Whether it reads a source under these options.
        read: Reads it.
        options: Which of the options `lines` and `window` apply to it; any other reader refuses them.
    """

    accepts: Callable[[Source, LoadOptions], bool]
    read: Callable[[Source, LoadOptions], Data]
    options: tuple[str, ...] = ()

    def data(self, source: Source, options: LoadOptions) -> Data:
        """Read a source. What an option does to data of every kind stands here.

        Raises:
            DataError: The source cannot be read, or an option does not apply to this kind of data.
        """
        if options.lines and "lines" not in self.options:
            hint = "leave out lines (--lines), or give a .txt file"
            raise DataError("load", "lines is for text", got=source.shown, hint=hint)
        if options.window is not None and "window" not in self.options:
            hint = "give a CSV, Parquet or npy file; the window of a text is its context"
            raise DataError("load", "window is for tables in time order", got=source.shown, hint=hint)
        return self.read(source, options)


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


def _number_if_possible(value: Any) -> Any:
    """A share may be given as `0.3` or `"0.3"`; anything else is returned unchanged."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _check_share(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value < 1:
        rule = f"{name} must be a share of the rows, at least 0 and below 1"
        raise DataError("load", rule, got=value, hint=f"for example {name}=0.2")


def _check_choices(options: LoadOptions) -> None:
    split = options.split
    if split not in (RANDOM, TIME) and not (split.startswith(GROUP) and split != GROUP):
        raise DataError(
            "load", "split must be random, time or group=COLUMN", got=split, hint="try split=random"
        )
    if options.task not in (None, CLASSIFICATION, REGRESSION):
        rule = "task must be classification or regression"
        raise DataError("load", rule, got=options.task, hint="leave it out to infer it from the target")
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
        return list(value) if all(isinstance(item, str) for item in value) else IN_MEMORY
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else IN_MEMORY
