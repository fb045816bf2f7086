"""The columns of a table: which are useful, and how their rules are fitted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import date

import numpy as np

from thalweg.core.caller import either
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.tables import TableFormat
from thalweg.problem.data.inputs.column_types import CATEGORY, DATE, NUMBER, Typed
from thalweg.problem.data.inputs.rules import OTHER, CategoryRule, NumberRule, Rule, WordRule, fit_rule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.note import Note, guess
from thalweg.problem.data.options import LoadOptions

# In fewer rows, all values of an ordinary column may differ by chance.
MIN_ID_ROWS = 20
LEAST_NAMED = 3  # of a column that is named like an identifier
ID_NAME = re.compile(
    r"(?i:(^|[_\s.-])(id|uuid|guid|key|index|idx|no|nr|row|row_?num|row_?id|unnamed: ?\d+)\.?$)|[a-z]I[dD]$"
)

CODE_NAME = re.compile(
    r"(?i)(^|[_\s.-])(phone|telefon|telephone|mobile|fax|zip|postcode|postal|plz|fips|code|kode|cp|cep|iso|naics|sic|area_?code|[a-z]+_?(id|no|nr|code))(_\d+)?$"
    r"|(?i:zip|postal|post)[_\s-]?code"
)
# Dates that stand for none: of these, and after this year, if so many days from the middle of the others.
NO_DATES = (
    date(1, 1, 1),
    date(1753, 1, 1),
    date(1899, 12, 30),
    date(1900, 1, 1),
    date(1970, 1, 1),
    date(2099, 12, 31),
)
LAST_YEAR, FAR_DAYS = 2900, 9000
VERSION_NAME = re.compile(r"(?i)(^|[_\s.-])(version|ver|release|revision|firmware)([_\s.-]|$)")
# What databases and instruments write for a missing number.
SENTINELS = (-999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0, -99.0, 99.0, -1.0, 999999.0, -999999.0)

# What surveys write for no answer, beside answers up to the second number.
NO_ANSWER = (
    ({8, 9}, 5),
    ({7, 8, 9}, 5),
    ({66, 77, 88, 96, 97, 98, 99}, 20),
    ({666, 777, 888, 996, 997, 998, 999}, 200),
    ({6666, 7777, 8888, 9996, 9997, 9998, 9999}, 2000),
)
NO_ANSWER_BELOW = frozenset(
    {-1, -2, -3, -4, -5, -6, -7, -8, -9, -66, -77, -88, -97, -98, -99, -997, -998, -999}
)


def table_format(options: LoadOptions, header: bool | None = None) -> TableFormat:
    """Return how a text table is written, as the options say; `header` where it is known from training."""
    header = options.header if options.header is not None else header
    return TableFormat(header, options.separator, options.encoding, options.target)


def type_notes(columns: dict[str, Typed]) -> tuple[Note, ...]:
    """Return what was guessed about the types of columns; marks of missing values in one note for all."""
    notes = [note for typed in columns.values() for note in typed.notes if note.kind != "numbers"]
    notes += [*_number_notes(columns), *_code_names(columns)]
    marked = {name: typed.marked for name, typed in columns.items() if typed.marked}
    if marked:
        marks = sorted({mark for cells in marked.values() for mark in cells})
        counts = ", ".join(f"{name} {sum(cells.values())}" for name, cells in marked.items())
        text = f"{', '.join(map(repr, marks))} among numbers or dates was read as missing: {counts}."
        first = next(iter(marked))
        notes.append(guess("missing", text, tuple(marked), types={first: CATEGORY}))
    return (*notes, *_sentinels(columns))


def _code_names(columns: dict[str, Typed]) -> list[Note]:
    """Note whole numbers that are named like a code, which have no order."""
    notes = []
    for name, typed in columns.items():
        if typed.kind != NUMBER or typed.fixed:
            continue
        if VERSION_NAME.search(name) and not typed.whole:
            text = f"{name} is named like a version, where 1.10 comes after 1.9; it was read as numbers."
        elif typed.whole and CODE_NAME.search(name):
            text = f"{name} is named like a code, whose numbers have no order; it was read as numbers."
        else:
            continue
        notes.append(guess("code name", text, (name,), types={name: CATEGORY}))
    return notes


def _number_notes(columns: dict[str, Typed]) -> list[Note]:
    """Return the notes on how numbers are written, one for all columns that are written alike."""
    alike: dict[str, list[tuple[str, Note]]] = {}
    for name, typed in columns.items():
        for note in (note for note in typed.notes if note.kind == "numbers"):
            alike.setdefault(note.text.removeprefix(name).split(". ")[0].rstrip("."), []).append((name, note))
    notes = []
    for text, found in alike.items():
        names = tuple(name for name, _ in found)
        note = found[0][1]
        if len(names) > 1:
            text = f"{', '.join(names)}{text.replace(' was ', ' were ')}."
            note = guess("numbers", text, names, types=dict.fromkeys(names, CATEGORY))
            if "decimal" in found[0][1].change:
                change = found[0][1].change
                note = Note("numbers", f"{text} {change} would change that.", names, change)
        notes.append(note)
    return notes


def _sentinels(columns: dict[str, Typed]) -> list[Note]:
    """Note a number such as -999 that stands far from all others and repeats: it may mark missing values."""
    notes = [note for name, typed in columns.items() if typed.kind == DATE for note in _no_dates(name, typed)]
    for name, typed in columns.items():
        if typed.kind != NUMBER or typed.fixed:
            continue
        values = np.sort(typed.values.drop_nulls().to_numpy())
        if (codes := _no_answers(name, typed)) is not None:
            notes.append(codes)
            continue
        for mark in SENTINELS:
            rows = int((values == mark).sum())
            others = values[values != mark]
            if rows < 2 or others.size < MIN_ID_ROWS / 2:
                continue
            low, high = np.quantile(others, [0.005, 0.995])
            if not low - (high - low) <= mark <= high + (high - low) and mark not in (low, high):
                text = f"{name} is {mark:g} in {rows} rows, far from all its other values."
                notes.append(guess("missing", text, (name,), missing=f"{mark:g}"))
    return notes


def _no_answers(name: str, typed: Typed) -> Note | None:
    """Note codes such as 97, 98 and 99 beside answers from 0 to 10: each alone may be an answer."""
    values = typed.values.drop_nulls()
    if not typed.whole or values.len() < MIN_ID_ROWS:
        return None
    found = {int(value) for value in values.unique().to_list()}
    below = {value for value in found if value < 0}
    codes: set[int] = set()
    if len(below) > 1 and below <= NO_ANSWER_BELOW and min(below) <= -7 and len(below) < -min(below):
        codes = below
    for marks, largest in NO_ANSWER:
        above = found & marks
        if len(above) > 1 and all(0 <= value <= largest for value in found - marks):
            codes = above
    rows = int(values.is_in([float(code) for code in codes]).sum()) if codes else 0
    if rows == 0 or len(found - codes) < 2 or 2 * rows > values.len():
        return None
    shown = ", ".join(map(str, sorted(codes)))
    text = f"{name} is {shown} in {rows} rows, apart from its other values, as surveys write for no answer."
    return guess("missing", text, (name,), missing=str(max(codes)))


def _no_dates(name: str, typed: Typed) -> list[Note]:
    """Note dates that databases write for an open or unknown one, where all others lie elsewhere."""
    days = typed.values.drop_nulls().cast(pl.Date)
    odd = days.filter((days.dt.year() > LAST_YEAR) | days.is_in(NO_DATES))
    others = days.filter(~days.is_in(odd.implode()))
    if (
        odd.len() == 0
        or others.len() == 0
        or abs((odd[0] - others.sort()[others.len() // 2]).days) < FAR_DAYS
    ):
        return []
    rows = "a row" if odd.len() == 1 else f"{odd.len()} rows"
    text = f"{name} is {odd[0]} in {rows}, as databases write for no date."
    return [guess("missing", text, (name,), missing=str(odd[0]))]


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
        hint = either(
            "give more columns", "use keep=[...] for columns that were left out, or give more columns"
        )
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
    if typed.given or (typed.fixed and typed.kind != CATEGORY and not typed.whole):
        return None
    named = bool(ID_NAME.search(name.strip()))
    counted = typed.kind == NUMBER and _counts_rows(typed.values)
    if distinct < typed.values.len() or distinct < (LEAST_NAMED if named or counted else MIN_ID_ROWS):
        return None
    text = None
    if named and (typed.kind == CATEGORY or typed.whole):
        text = f"{name} is named like an identifier and differs in every row; it was left out."
    elif (
        typed.kind == CATEGORY and not WordRule.fit(typed.values).words
    ):  # with words: a name or a description
        text = f"{name} differs in every row, like an identifier; it was left out."
    elif typed.kind == NUMBER and typed.whole and _is_row_number(present):
        text = f"{name} numbers the rows from {int(present.min() or 0)}; it was left out."  # type: ignore[arg-type]
    return None if text is None else guess("id", text, (name,), types={name: typed.kind})


def _counts_rows(values: pl.Series) -> bool:
    """0, 1, 2, ... or 1, 2, 3, ... in this order."""
    array = values.to_numpy()
    return array.size > 1 and array[0] in (0, 1) and bool((np.diff(array) == 1).all())


def _is_row_number(values: pl.Series) -> bool:
    """0..n-1 or 1..n, in any order."""
    array = values.to_numpy()
    return bool(array.min() in (0, 1) and np.ptp(array) == array.size - 1)


def _missing_values(columns: dict[str, Typed]) -> tuple[Note, ...]:
    shares = {name: typed.values.null_count() / max(1, typed.values.len()) for name, typed in columns.items()}
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
            rows = "a row" if count == 1 else f"{count} rows"
            text = f"{name} is {mark!r} in {rows}, which may mark a missing value."
            notes.append(guess("missing", text, (name,), missing=str(mark)))
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
    fitted = TableColumns(
        used,
        tuple(names),
        target,
        options.header is not False,
        options.missing,
        separator=options.separator,
        encoding=options.encoding,
    )
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
            many = len(rule.words)
            each = "its one frequent word" if many == 1 else f"each of its {many} frequent words"
            notes.append(
                Note("words", f"{rule.column} is text; {each} is an input: {first}.", (rule.column,))
            )
    return tuple(notes)
