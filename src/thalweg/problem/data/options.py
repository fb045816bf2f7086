"""`LoadOptions`: how to read a data set, checked before any work. `Reader`: one way to read a source."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from thalweg.core.arguments import check, check_fields
from thalweg.core.caller import argument, option, option_name
from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.data import CLASSIFICATION, IN_MEMORY, REGRESSION, Data
from thalweg.problem.data.files.json_lines import SUFFIXES as JSON_LINES
from thalweg.problem.data.files.parts import Parts
from thalweg.problem.data.files.tables import TARGETS
from thalweg.problem.data.files.tar_shards import Shards

RANDOM, TIME, GROUP = "random", "time", "group="
# Types of columns as the user names them. Text is read by its words; skip leaves a column out.
TYPES = ("number", "category", "date", "text", "skip")
DATE_ORDERS = ("dmy", "mdy")
DECIMALS = (".", ",")

# The usual shares: a fifth for the test, a tenth of the rest for validation.
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
CONTEXT = 64

# Kinds of data, as messages name them. A source may be of several: a CSV file is a table in a text file.
TABLES, TEXT_TABLES, SERIES = "tables", "tables in text files", "time series"
NPY, ARRAYS, PICTURES = "npy files", "arrays", "folders of images"
LABELLED = "folders with a table of labels"
TEXTS, LINES, NAMED = "texts", "texts read by line", "named sets"

# The kinds that an option is for. Options that are not named here apply to data of every kind.
_APPLIES: dict[str, tuple[str, ...]] = {
    "target": (TABLES, SERIES, NPY, LABELLED),
    "split_seed": (TABLES, ARRAYS, PICTURES, LINES),  # a long text and a series are cut in their own order
    "task": (TABLES, SERIES, ARRAYS, PICTURES),
    "min_class": (TABLES, ARRAYS, PICTURES),
    "context": (TEXTS,),
    "lines": (LINES,),
    "window": (SERIES,),
    "series": (SERIES,),
    "weights": (TABLES, ARRAYS, PICTURES),
    "size": (PICTURES,),
    "skip_broken": (PICTURES,),
    "folds": (TABLES, ARRAYS, PICTURES),
    "validation_folds": (TABLES, ARRAYS),
    "folder": (NAMED,),
    "stream": (TABLES, PICTURES),
}
_APPLIES |= dict.fromkeys(("header", "separator"), (TEXT_TABLES,))
_APPLIES |= {"encoding": (TEXT_TABLES, TEXTS, LINES)}
_APPLIES |= dict.fromkeys(("decimal", "dates", "types", "missing", "drop", "keep"), (TABLES, SERIES))


@dataclass(frozen=True)
class LoadOptions:
    """How to read a data set.

    Args:
        target: Column to predict: its name, or its index from 0 (negative: from the end). Several columns of
            numbers: `heat,cool`, or a list.
        test: Share of the rows for the test split (0: none), or the test split itself (a path, a frame, a
            pair of arrays). None: the set's own test split, else 0.2.
        validation: Share of the training rows held out to decide when to stop; 0 for none.
        split: `random` (stratified for classes), `time` (in row order: train, validation, test) or
            `group=COLUMN` (rows with the same value stay in one split).
        split_seed: Selects one of the random splits; they are a pure function of it.
        header: Whether the first line of a text table holds the names. If not, columns are
            `column_0`, `column_1`, ..., numbered as `target` counts. None: decided by its cells.
        separator: What separates the cells of a text table, such as `;`; `space` for runs of spaces. None:
            found.
        encoding: Encoding of a text file, such as `cp1252`. None: found.
        decimal: The decimal mark of numbers, `.` or `,`. None: found.
        dates: Order of day and month in dates such as 3/4/2024: `dmy` or `mdy`. None: decided column by
            column.
        types: The type of a column, by name: `number`, `category`, `date`, `text` or `skip` (leave it out).
            Also items such as `zip=category`. Columns that are not named have their types found.
        missing: Further marks for a missing value, such as `999`. Empty cells, NA, NaN, null are known.
        folder: Folder with named sets, searched before the one in the environment variable THALWEG_DATA.
        drop: Columns to leave out.
        keep: Columns to use although they look like row numbers or identifiers.
        task: `classification` or `regression`; None: inferred from the target.
        min_class: Classes with fewer rows than this are left out; 1 keeps all.
        context: Window length for text, in tokens; None: 64, nanoGPT's setting for small machines.
        lines: Whether each line of a text is an example (names, words), with a beginning and an end;
            otherwise the text is one long stream.
        window: Rows of a time series that the model sees at a time; None: rows are not a series.
        horizon: Values of the target that follow the window and are predicted, in rows.
        series: Column that tells several series in one table apart, such as `store`. None: found by
            repeated dates.
        weights: What each example counts in the loss and the metrics: a column of a table, or an array,
            `example`. Weights are at least 0, not all 0, and are divided by their mean over each split. The
            column is no input.
        size: Size to which images are resized: pixels of both sides, or `WIDTHxHEIGHT`. None: the most
            common size, or medians; smaller where the set would take more than a quarter of free memory.
        skip_broken: Whether image files that cannot be read are left out; otherwise they are an error.
        folds: Number of folds for cross-validation: the rows are dealt into so many parts, and for each part
            there is a lane in which it is the test split. None: one split.
        validation_folds: Number of folds in which rows are both trained on and validate: each member of an
            ensemble (`Tabular`) leaves those of one fold out, and predicts them for validation. None: rows
            held out for validation are not trained on.
        stream: Whether a table in files is read chunk by chunk during training, and pictures are decoded
            then, with a bounded buffer in memory, rather than as a whole. None: where they do not fit.
        name: Name of the set; None: from the file or the named set.
    """

    target: str | int | None = None
    test: Any = None
    validation: float = VALIDATION_SHARE
    split: str = RANDOM
    split_seed: int = 0
    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    dates: str | None = None
    types: Any = ()
    missing: tuple[str, ...] = ()
    folder: Path | str | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    task: str | None = None
    min_class: int = 1
    context: int | None = None
    lines: bool = False
    window: int | None = None
    horizon: int = 1
    series: str | None = None
    weights: Any = None
    size: int | str | None = None
    skip_broken: bool = False
    folds: int | None = None
    validation_folds: int | None = None
    stream: bool | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("missing", "drop", "keep"):
            value = getattr(self, name)
            value = value.tolist() if hasattr(value, "tolist") else value  # an array
            several = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else value
            object.__setattr__(self, name, (value,) if isinstance(value, str) else several)
        if isinstance(self.target, (list, tuple)) and self.target:
            object.__setattr__(self, "target", _several(self.target))
        object.__setattr__(self, "types", _types(self.types))
        object.__setattr__(self, "test", _number_if_possible(self.test))
        _check_share("validation", self.validation)
        if isinstance(self.test, float):
            _check_share("test", self.test)
        check_fields(DataError, "load", self)
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
    def tokens(self) -> int:
        """The window length for text."""
        return CONTEXT if self.context is None else self.context

    @property
    def type_of(self) -> dict[str, str]:
        """The types that were given, by column."""
        return dict(self.types)

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
        data: A path, the parts of a table, the name of a set, or data in memory.
        suffix: Suffix of a file without `.gz`, such as `.csv`; empty for anything else.
        name: Name of the data set, unless the set itself has one.
    """

    data: Any
    suffix: str
    name: str

    @property
    def shown(self) -> str:
        """What was given, for messages: a path or name, or the type of data in memory."""
        if isinstance(self.data, (Parts, Shards)):
            return self.data.shown
        return str(self.data) if isinstance(self.data, (str, Path)) else type(self.data).__name__


def is_text_table(source: Source) -> bool:
    """Return whether a table is to be read from a file of text."""
    return isinstance(source.data, (Path, Parts)) and source.suffix not in (".parquet", ".npy", *JSON_LINES)


@dataclass(frozen=True)
class Reader:
    """One way to read a source; `reading.READERS` lists all of them.

    Args:
        accepts: Whether it reads a source under these options.
        read: Reads it.
        kinds: What kinds of data the source is under these options; options for other kinds are refused.
    """

    accepts: Callable[[Source, LoadOptions], bool]
    read: Callable[[Source, LoadOptions], Data]
    kinds: Callable[[Source, LoadOptions], tuple[str, ...]]

    def data(self, source: Source, options: LoadOptions) -> Data:
        """Read a source.

        Raises:
            DataError: The source cannot be read, or an option does not apply to this kind of data.
        """
        _check_applies(self.kinds(source, options), source, options)
        return self.read(source, options)


def _check_applies(kinds: tuple[str, ...], source: Source, options: LoadOptions) -> None:
    """Reject options that would have no effect on data of these kinds."""
    for name in options.to_dict():
        applies = _APPLIES.get(name, kinds)
        if not set(applies) & set(kinds):
            kinds_of_it = f"{', '.join(applies[:-1])} and {applies[-1]}" if applies[1:] else applies[0]
            rule = f"{argument(name)} is for {kinds_of_it}"
            raise DataError("load", rule, got=source.shown, where=kinds[0], hint=_instead(name, kinds))
    if options.group is not None and TABLES not in kinds and SERIES not in kinds:
        rule, hint = f"split {GROUP}COLUMN needs columns with names", f"use {option('split', RANDOM)}"
        raise DataError("load", rule, got=source.shown, where=kinds[0], hint=hint)


def _instead(name: str, kinds: tuple[str, ...]) -> str:
    """Return the hint for an option that does not apply: what does the same, else to leave it out."""
    if name == "window" and TEXTS in kinds:
        return f"the window of a text is its {option('context', 64)}"
    if name == "window":
        return "give rows in time order: a CSV, Parquet or npy file, a frame or an array"
    if name == "series" and TABLES in kinds:
        return f"say how many rows the model sees at a time, such as {option('window', 24)}"
    if name == "context" and SERIES in kinds:
        return f"use {option_name('window')}"
    if name == "target" and PICTURES in kinds:
        return f"leave {argument(name)} out: the class of an image is the name of its folder"
    return f"leave {argument(name)} out"


def options_from(options: LoadOptions | None, settings: Mapping[str, Any]) -> LoadOptions:
    """Return `options` (or the defaults) with `settings` applied.

    Raises:
        DataError: A setting is unknown, or a value is impossible.
    """
    check(DataError, "load", {"options": LoadOptions | None}, {"options": options})
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


def _several(names: Sequence[Any]) -> Any:
    """Return several target columns as one text; anything else as it is, for the check of types to refuse."""
    if not all(isinstance(name, (str, int)) and not isinstance(name, bool) for name in names):
        return names
    if any(TARGETS in str(name) for name in names):
        rule, hint = "names of several targets must have no commas", "rename the columns"
        raise DataError("target", rule, got=list(names), hint=hint)
    return TARGETS.join(map(str, names))


def _types(given: Any) -> tuple[tuple[str, str], ...]:
    """Return (column, type) pairs from a dictionary, from such pairs, or from items `column=type`."""
    if isinstance(given, str):
        given = given.split(",")
    items = given.items() if isinstance(given, Mapping) else given
    try:
        return tuple(_type_item(item) for item in items)
    except TypeError as error:
        hint = f"for example {option('types', {'zip': 'category'})}"
        raise DataError("load", "types must name columns and their types", got=given, hint=hint) from error


def _type_item(item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        column, equals, kind = item.rpartition("=")
        if equals:
            return column.strip(), kind.strip().lower()
    elif len(item) == 2 and all(isinstance(part, str) for part in item):
        return item[0], item[1].lower()
    raise TypeError


def _check_one_of(name: str, value: Any, known: tuple[str, ...], where: str | None = None) -> None:
    if value is not None and value not in known:
        rule = f"{name} must be one of {', '.join(known)}"
        hint = did_you_mean(str(value), known)
        raise DataError("load", rule, got=value, where=where, hint=hint)


def _check_share(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value < 1:
        rule = f"{name} must be a share of the rows, at least 0 and below 1"
        raise DataError("load", rule, got=value, hint=f"for example {option(name, 0.2)}")


def _check_choices(options: LoadOptions) -> None:
    split = options.split
    if split not in (RANDOM, TIME) and not (split.startswith(GROUP) and split != GROUP):
        raise DataError(
            "load",
            "split must be random, time or group=COLUMN",
            got=split,
            hint=f"try {option('split', RANDOM)}",
        )
    if options.task not in (None, CLASSIFICATION, REGRESSION):
        rule = "task must be classification or regression"
        raise DataError("load", rule, got=options.task, hint="leave it out to infer it from the target")
    if isinstance(options.split_seed, bool) or not isinstance(options.split_seed, int):
        raise DataError("load", "split_seed must be a whole number", got=options.split_seed, hint="try 0")
    _check_one_of("decimal", options.decimal, DECIMALS)
    _check_one_of("dates", options.dates, DATE_ORDERS)
    for column, kind in options.types:
        _check_one_of("types", kind, TYPES, where=f"column {column}")
    _check_whole("min_class", options.min_class, "rows", "try 2")
    if options.context is not None:
        _check_whole("context", options.context, "tokens", "try 64")
    _check_folds(options)
    _check_whole("horizon", options.horizon, "rows", "try 1")
    if options.window is not None:
        _check_whole("window", options.window, "rows", "try 24")
    elif options.horizon != 1:
        raise DataError(
            "load", "horizon needs a window", got=options.horizon, hint=f"for example {option('window', 24)}"
        )


def _check_folds(options: LoadOptions) -> None:
    if options.folds is None:
        return
    _check_whole("folds", options.folds, "parts", "try 5")
    if options.folds < 2:
        raise DataError("load", "folds must be at least 2", got=options.folds, hint="try 5")
    if options.weights is not None:
        rule, hint = (
            "folds take no weights of examples",
            f"leave {argument('weights')} or {argument('folds')} out",
        )
        raise DataError("load", rule, got=options.folds, hint=hint)
    if options.test is not None:
        rule, hint = "folds are the test splits, each in turn", f"leave {argument('test')} out"
        raise DataError("load", rule, got=option("test", _plain(options.test)), hint=hint)
    if options.split == TIME:
        rule = "folds need rows without an order in time"
        hint = f"use {option('split', RANDOM)}, or hold out the end alone: leave {argument('folds')} out"
        raise DataError("load", rule, got=option("split", TIME), hint=hint)


def _check_whole(name: str, value: Any, unit: str, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError("load", f"{name} must be a whole number of {unit}, at least 1", got=value, hint=hint)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value) if all(isinstance(item, str) for item in value) else IN_MEMORY
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else IN_MEMORY
