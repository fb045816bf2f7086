"""The columns of a table: which are useful, how their rules are fitted, which leak the target."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.inputs.column_types import CATEGORY, NUMBER, Typed
from thalweg.problem.data.inputs.rules import OTHER, CategoryRule, NumberRule, Rule, WordRule, fit_rule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions

# In fewer rows, all values of an ordinary column may differ by chance.
MIN_ID_ROWS = 20
ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key|index|idx|no|nr|row)$)|[a-z]I[dD]$")

# A column leaks if it alone removes this share of the error of the best constant prediction.
SUSPICIOUS = 0.98
BINS = 64  # a straight line in 64 steps leaves 1/64^2 of the variance, far below what is tested for
MIN_LEAK_ROWS = 50  # fewer, and half of them are too few to tell a leak from chance
MAX_LEAK_ROWS = 20_000  # a check, not a fit: more rows would not change the answer


def useful_columns(
    columns: dict[str, Typed], keep: Collection[str], always: Collection[str] = ()
) -> tuple[dict[str, Typed], tuple[Note, ...]]:
    """Leave out columns with nothing to learn from: identifiers, row numbers, constants.

    A column is not left out as a row number or identifier if no other column would remain. Columns in
    `always` (a series' own past) are neither left out nor counted.

    Returns:
        (the other columns, notes on those left out, on missing values and on possible marks of them).

    Raises:
        DataError: No column remains.
    """
    candidates = {name: typed for name, typed in columns.items() if name not in always}
    notes = [
        note for name, typed in candidates.items() if name not in keep and (note := _useless(name, typed))
    ]
    if len(notes) == len(candidates):
        notes = [note for note in notes if note.kind != "id"]
    out = {name for note in notes for name in note.columns}
    useful = {name: typed for name, typed in columns.items() if name not in out}
    if not useful:
        rule = "must have at least one column to learn from besides the target"
        hint = "use keep= for columns that were left out, or give more columns"
        raise DataError("table", rule, got=", ".join(columns) or "none", hint=hint)
    return useful, (*notes, *_missing_values(useful), *_possible_marks(useful))


def _useless(name: str, typed: Typed) -> Note | None:
    present = typed.values.drop_nulls()
    if present.len() == 0:
        return Note("constant", f"{name} is empty; it was left out.", (name,))
    distinct = present.n_unique()
    if distinct == 1 and present.len() == typed.values.len():
        value = f"{present[0]:g}" if isinstance(present[0], float) else str(present[0])
        return Note("constant", f"{name} is {value} in every row; it was left out.", (name,))
    if distinct < typed.values.len() or distinct < MIN_ID_ROWS:
        return None
    text = None
    if typed.kind == CATEGORY and not WordRule.fit(typed.values).words:  # with words: a name or a description
        text = f"{name} differs in every row, like an identifier; it was left out."
    elif typed.kind == NUMBER and typed.whole and _is_row_number(present):
        text = f"{name} numbers the rows from {int(present.min() or 0)}; it was left out."  # type: ignore[arg-type]
    elif typed.kind == NUMBER and typed.whole and ID_NAME.search(name):
        text = f"{name} is named like an identifier and differs in every row; it was left out."
    return None if text is None else Note("id", text, (name,))


def _is_row_number(values: pl.Series) -> bool:
    """0..n-1 or 1..n, in any order."""
    array = values.to_numpy()
    return bool(array.min() in (0, 1) and np.ptp(array) == array.size - 1)


def _missing_values(columns: dict[str, Typed]) -> tuple[Note, ...]:
    shares = {name: typed.values.null_count() / typed.values.len() for name, typed in columns.items()}
    shares = {name: share for name, share in shares.items() if share > 0}
    if not shares:
        return ()
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    text = f"missing values: {listed}. An extra input marks the rows where a value is missing."
    return (Note("missing", text, tuple(shares)),)


def _possible_marks(columns: dict[str, Typed]) -> tuple[Note, ...]:
    """Note what may mark missing values: question marks, or a single text among numbers."""
    notes = []
    for name, typed in columns.items():
        if typed.kind != CATEGORY:
            continue
        present = typed.values.drop_nulls()
        not_numbers = present.filter(present.cast(pl.Float64, strict=False).is_null())
        single = not_numbers.n_unique() == 1 and not_numbers.len() < present.len() / 2
        mark = not_numbers[0] if single else "?"
        count = int((present == mark).sum())
        if count:
            text = f"{name} is {mark!r} in {count} rows; if that marks a missing value, use missing={mark!r}."
            notes.append(Note("missing", text, (name,)))
    return tuple(notes)


def fit_columns(
    columns: dict[str, Typed], train: np.ndarray, names: Sequence[str], target: str, options: LoadOptions
) -> tuple[TableColumns, tuple[Note, ...]]:
    """Fit the rules of the columns on the training rows.

    Args:
        columns: The columns that the model uses.
        train: Indices of the training rows.
        names: All columns of the table.
        target: Name of the target.
        options: How the table is read.

    Returns:
        (the fitted columns, notes on those left out, merged or transformed).

    Raises:
        DataError: No column has values that vary or repeat.
    """
    rules = [fit_rule(typed.values.gather(train), typed) for typed in columns.values()]
    used = tuple(rule for rule in rules if _is_useful(rule, options))
    if not used:
        rule = "must have at least one column whose values vary or repeat in the training rows"
        hint = "give columns with numbers, or categories that more rows share"
        raise DataError("table", rule, got=", ".join(columns), hint=hint)
    unused = [rule for rule in rules if rule not in used]
    fitted = TableColumns(used, tuple(names), target, options.header, options.missing)
    return fitted, _rule_notes(unused, used)


def _is_useful(rule: Rule, options: LoadOptions) -> bool:
    """Return whether a rule has inputs. An input of rare categories alone counts only in a series."""
    alone = set() if options.window is not None else {f"{rule.column}={OTHER}"}
    return bool(set(rule.features) - alone)


def _rule_notes(unused: Sequence[Rule], used: Sequence[Rule]) -> tuple[Note, ...]:
    rare = tuple(rule.column for rule in unused)
    merged = tuple(rule.column for rule in used if isinstance(rule, CategoryRule) and rule.other)
    skewed = tuple(rule.column for rule in used if isinstance(rule, NumberRule) and rule.unit)
    notes = []
    if rare:
        text = f"no value repeats often enough to learn from in {', '.join(rare)}; left out."
        notes.append(Note("rare", text, rare))
    if merged:
        notes.append(Note("rare", f"rare categories were merged in {', '.join(merged)}.", merged))
    if skewed:
        text = f"the logarithm is used for columns with a long tail: {', '.join(skewed)}."
        notes.append(Note("skewed", text, skewed))
    for rule in used:
        if isinstance(rule, WordRule):
            first = ", ".join(rule.words[:8]) + (", ..." if len(rule.words) > 8 else "")
            text = (
                f"{rule.column} is text; each of its {len(rule.words)} frequent words is an input: {first}."
            )
            notes.append(Note("words", text, (rule.column,)))
    return tuple(notes)


def leaks(columns: dict[str, Typed], target: Target) -> tuple[Note, ...]:
    """Note columns that predict the target almost perfectly on their own.

    A prediction from one column is fitted on every other row and tested on the rest. Such columns are not
    dropped: only the user knows whether such a column is available at prediction time.
    """
    count = target.values.shape[0]
    if len(columns) < 2 or count < MIN_LEAK_ROWS:
        return ()
    rows = np.linspace(0, count - 1, min(count, MAX_LEAK_ROWS)).astype(int)
    notes = []
    for name, typed in columns.items():
        removed = max(
            _removed_by_bins(_bins(typed)[rows], target, rows), _removed_by_line(typed, target, rows)
        )
        if removed >= SUSPICIOUS:
            text = (
                f"{name} alone removes {removed:.1%} of the error in predicting {target.name}: "
                "is it known at prediction time?"
            )
            notes.append(Note("leak", text, (name,)))
    return tuple(notes)


def _numbers(typed: Typed) -> np.ndarray:
    return typed.values.to_physical().cast(float).to_numpy()


def _bins(typed: Typed) -> np.ndarray:
    """Return a small number for each row: of its category, or of its quantile; 0 for missing."""
    if typed.kind == CATEGORY:
        return typed.values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    values = _numbers(typed)
    present = values[~np.isnan(values)]
    edges = np.unique(present)
    if edges.size > BINS:
        edges = np.quantile(present, np.arange(1, BINS) / BINS)
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def _removed_by_bins(bins: np.ndarray, target: Target, rows: np.ndarray) -> float:
    """Return the share of the best constant's error that one prediction per bin removes, on other rows."""
    y, fitted = target.values[rows], np.arange(rows.size) % 2 == 0
    tested = ~fitted
    if target.task == CLASSIFICATION:
        width = len(target.classes or ())
        table = np.zeros((bins.max() + 1, width))
        np.add.at(table, (bins[fitted], y[fitted]), 1)
        constant = np.bincount(y[fitted], minlength=width).argmax()
        predictions = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), constant)
        return _removed(np.mean(predictions[bins[tested]] != y[tested]), np.mean(constant != y[tested]))
    sizes = np.bincount(bins[fitted], minlength=bins.max() + 1)[:, None]
    sums = np.stack([np.bincount(bins[fitted], v, minlength=bins.max() + 1) for v in y[fitted].T], axis=1)
    mean = y[fitted].mean(axis=0)
    predictions = np.where(sizes > 0, sums / np.maximum(sizes, 1), mean)
    return _removed(np.sum((predictions[bins[tested]] - y[tested]) ** 2), np.sum((mean - y[tested]) ** 2))


def _removed_by_line(typed: Typed, target: Target, rows: np.ndarray) -> float:
    """Return the share of the squared error that a straight line removes; 0 for categories and classes."""
    if typed.kind == CATEGORY or target.task == CLASSIFICATION:
        return 0.0
    x = _numbers(typed)[rows]
    present = ~np.isnan(x)
    if present.sum() < MIN_LEAK_ROWS:
        return 0.0
    x, y = x[present] - x[present].mean(), target.values[rows][present]
    y = y - y.mean(axis=0)
    line = x[:, None] * (x @ y) / max(float(x @ x), np.finfo(float).tiny)
    return _removed(np.sum((y - line) ** 2), np.sum(y**2))


def _removed(error: float, constant_error: float) -> float:
    return float(1 - error / constant_error) if constant_error > 0 else 0.0
