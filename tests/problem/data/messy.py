"""Messy tables: columns of known meaning, written in the styles of the files that people have.

`make(seed)` returns a table; the same seed always gives the same bytes. `write` puts it into a folder and
`check` compares what a reader understood with what was meant (`messy_check.py`). Written from knowledge of
such files, not of the reader.

Two disjoint ranges of seeds: 0 to 9,999 are for development, to look at and to mend by. From 1,000,000 on is
the held-out range: it is scored once, when the reader is done, and never looked at before.

    python -m tests.problem.data.messy --count 2000 --seed 0

prints how many tables were understood, asked about or silently misread, and the failures by style.
"""

import argparse
import gzip
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.problem.data.messy_check import (
    ASKED,
    RIGHT,
    SILENT,
    Problem,
    Remark,
    SeenColumn,
    Understood,
    check,
    judge,
    understood_by_thalweg,
    verdict,
)
from tests.problem.data.styles import calendars, dates, exports, faults, habits, numbers, programs, strings
from tests.problem.data.styles import layout as layouts
from tests.problem.data.styles.column import Column
from tests.problem.data.styles.layout import SINGLE, SPACES, Layout, writable
from tests.problem.data.styles.words import LANGUAGES, Language

__all__ = [
    "DEVELOPMENT",
    "HELD_OUT",
    "MessyTable",
    "Problem",
    "Remark",
    "SeenColumn",
    "Understood",
    "check",
    "make",
    "report",
    "score",
    "understood_by_thalweg",
    "verdict",
]

DEVELOPMENT = range(10_000)
HELD_OUT = range(1_000_000, 1_010_000)


@dataclass(frozen=True)
class MessyTable:
    """A table, what it means and how it is written.

    Args:
        seed: Of `make`.
        columns: In the file's order.
        header: The names in the file, "" for a nameless one; None for a file without names.
        layout: How it is written.
        data: The file's bytes, before compression.
        options: What the user passes to the reader: nothing, or the target's name.
    """

    seed: int
    columns: list[Column]
    header: list[str] | None
    layout: Layout
    data: bytes
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the file into the folder and return its path."""
        path = Path(folder) / f"table_{self.seed}{self.layout.suffix}"
        compressed = self.layout.suffix.lower().endswith(".gz")
        path.write_bytes(gzip.compress(self.data, 1) if compressed else self.data)
        return path


def make(seed: int) -> MessyTable:
    """Return the table of this seed."""
    rng = random.Random(seed)
    rows = _row_count(rng)
    layout = layouts.draw(rng, rows)
    made = _copied(rng, _columns(rng, rows, layout))
    if layout.empty_rows and not any(column.meaning == "index" for column in made):
        made = faults.with_empty_rows(rng, made)
    header = _header(rng, layout, made)
    _settle(made)
    total = _total(rng, made, layout) if layout.total else None
    layout = replace(layout, total=total is not None)
    program = programs.draw(rng, layout, made) if rng.random() < 0.5 else ""
    layout = replace(layout, program=program)
    lines = layouts.lines(rng, made, header, total, layout)
    if program == "groups" and header:
        upper, header = programs.grouped_names(rng, made, header)
        lines.insert(0, layout.separator.join(upper))
    lines = programs.written(rng, program, lines, made, layout)
    if program == "printed" and header:
        made, header = programs.with_index(made), ["", *header]
    text = programs.text(rng, program, lines, layout)
    options = _options(rng, made, header)
    return MessyTable(seed, made, header, layout, layouts.encoded(text, layout.encoding), options)


def _row_count(rng: random.Random) -> int:
    kind = rng.random()
    if kind < 0.1:
        return rng.randint(3, 9)
    if kind < 0.35:
        return rng.randint(10, 39)
    return rng.randint(40, 140) if kind < 0.8 else rng.randint(141, 400)


def _options(rng: random.Random, made: list[Column], header: list[str] | None) -> dict[str, Any]:
    """Return the option `target` for most tables that have one; integer classes then have to be told."""
    target = made[-1]
    if target.meaning != "target" or not header or header.count(header[-1]) > 1 or rng.random() < 0.3:
        return {}
    if target.style == "integer classes" and len(set(target.values) - {None}) > 2:
        target.ambiguous = True
    return {"target": header[-1].strip()}


# ---- the columns -------------------------------------------------------------------------------------------


def _columns(rng: random.Random, rows: int, layout: Layout) -> list[Column]:
    """Return columns whose cells the layout can write; at least one holds numbers."""
    language = LANGUAGES[layout.language]
    decimal = "," if rng.random() < (0.75 if layout.language != "english" else 0.12) else "."
    only_numbers = layout.header in ("numbers", "years")
    makers = _makers(rng, rows, layout, decimal)
    made = [_fitting(makers[0], layout, rng, plain=layout.header == "none")]
    made += [_fitting(rng.choice(makers), layout, rng) for _ in range(rng.randint(1, 6))]
    rng.shuffle(made)
    if layout.header == "r" or only_numbers:
        made.insert(0, strings.row_names(rng, rows, layout.header))
    elif rng.random() < 0.3:
        named = layout.header != "none"
        made.insert(0, _fitting(lambda: strings.index(rng, rows, named), layout, rng))
    if rng.random() < 0.5 and not only_numbers:
        made.append(_fitting(_target(rng, rows, decimal, language), layout, rng))
    return _faulty(rng, made, layout)


def _makers(rng: random.Random, rows: int, layout: Layout, decimal: str) -> list[Callable[[], Column]]:
    """Return the makers of columns that the layout's header allows, as often as they should be drawn."""
    language, named = LANGUAGES[layout.language], layout.header != "none"
    newlines = layout.quoting in ("minimal", "all") and layout.separator in SINGLE and rng.random() < 0.1
    makers = [lambda: numbers.number(rng, rows, decimal, language)] * 10
    makers += [lambda: numbers.number(rng, rows, rng.choice(".,"), language)]
    if layout.header in ("numbers", "years"):
        return makers
    makers += [lambda: strings.category(rng, rows, language)] * 7
    makers += [lambda: dates.date(rng, rows, language, named)] * 6
    makers += [lambda: strings.text(rng, rows, language, newlines)] * 2
    makers += [lambda: strings.code(rng, rows)] * 2 if named else []
    makers += exports.makers(rng, rows, decimal, language) if named and rng.random() < 0.5 else []
    makers += habits.makers(rng, rows, decimal, language) if named and rng.random() < 0.4 else []
    makers += calendars.makers(rng, rows, language) if named and rng.random() < 0.4 else []
    if rng.random() < 0.1:
        makers += [lambda: strings.people(rng, rows, language)] * 3
        makers += [lambda: numbers.mixed_units(rng, rows, decimal, language)] * 3
        makers += [lambda: strings.constant(rng, rows, language)] * 3 if rows >= 5 else []
    if layout.separator in SINGLE:
        makers += [lambda: strings.inches(rng, rows, language)] * (4 if layout.quoting == "none" else 1)
    return makers


def _target(rng: random.Random, rows: int, decimal: str, language: Language) -> Callable[[], Column]:
    kind = rng.choice(["number", "words", "classes"])
    if kind == "number":
        return lambda: numbers.number(rng, rows, decimal, language, "target")
    if kind == "words":
        return lambda: strings.category(rng, rows, language, "target")
    return lambda: strings.classes(rng, rows, language)


def _fitting(maker: Callable[[], Column], layout: Layout, rng: random.Random, plain: bool = False) -> Column:
    """Return the first column from the maker that the layout can write; `plain`: of bare numbers only."""
    column = maker()
    for _ in range(60):
        usual = not plain or re.match("number plain .$", column.style)
        if usual and all(writable(cell, layout) for cell in {*column.cells, column.name}):
            return column
        column = maker()
    cells = [f"{rng.gauss(0, 10):.2f}" for _ in column.cells]
    return Column(
        f"x{rng.randrange(100)}",
        "number",
        [float(cell) for cell in cells],
        cells,
        "number plain .",
        ("number",),
        convention=".",
    )


def _faulty(rng: random.Random, made: list[Column], layout: Layout) -> list[Column]:
    """Add missing marks, bad cells and sentinels, where the layout can write them."""
    marks = ["", "", "", "", "NA", "NA", "NA", "NaN", "null", "n/a", "#N/A", "NULL", "nan"]
    pool = [*marks, *faults.WORD_MARKS, *faults.OTHER_MARKS]
    chosen = rng.sample(pool, 2 if rng.random() < 0.15 else 1)
    if layout.separator in (SPACES, " "):
        chosen = [mark or "NA" for mark in chosen]
    if layout.separator == SPACES or layout.before or layout.odd:
        # A # at the start of a line would be a comment.
        chosen = ["NA" if mark.startswith("#") else mark for mark in chosen]
    with_missing = rng.random() < 0.4
    for place, column in enumerate(made):
        if column.meaning == "index":
            continue
        if with_missing and rng.random() < 0.5:
            column = faults.with_missing(rng, column, chosen)
        if column.meaning in ("number", "date") and rng.random() < 0.12:
            bad = faults.with_bad_cells(rng, column)
            column = bad if all(writable(cell, layout) for cell in set(bad.cells)) else column
        elif column.meaning == "number" and rng.random() < 0.04:
            column = faults.with_sentinel(rng, column)
        made[place] = column
    return made


def _copied(rng: random.Random, made: list[Column]) -> list[Column]:
    """Copy some rows in a few tables; identifiers stay unique, as where copies came in before numbering."""
    rows = len(made[0].cells)
    if rows < 12 or rng.random() > 0.06:
        return made
    kept = rng.sample(range(rows), rows // 2) if rng.random() < 0.5 else list(range(rows - rows // 10))
    chosen = kept + rng.choices(kept, k=rows - len(kept))
    return [
        column if column.meaning == "index" else faults.after_copies(column.rows(chosen)) for column in made
    ]


def _header(rng: random.Random, layout: Layout, made: list[Column]) -> list[str] | None:
    """Return the names in the file, which become the columns' names; None for no header."""
    if layout.header == "none":
        return None
    if layout.header == "numbers":
        names = [""] + [str(i) for i in range(len(made) - 1)]
    elif layout.header == "years":
        start = rng.randint(1960, 2015)
        names = [made[0].name] + [str(start + i) for i in range(len(made) - 1)]
    else:
        names = _distinct([column.name for column in made])
        style = rng.random()
        if made[0].style == "index count" and layout.header != "comment" and rng.random() < 0.4:
            names[0] = ""
        if style < 0.05 and layout.separator != SPACES and len(layout.separator) == 1:
            names = [f" {name}" if name else name for name in names]
        if layout.header == "duplicates":
            plain = [
                i for i, column in enumerate(made) if column.meaning == "number" and not column.needs_name
            ]
            names = [names[plain[0]] if i in plain[:2] else name for i, name in enumerate(names)]
    for column, name in zip(made, names, strict=True):
        column.name = name.strip()
    return names


def _distinct(names: list[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        count = 2
        fresh = name
        while fresh in result:
            fresh, count = f"{name}{'_' if name else ''}{count}", count + 1
        result.append(fresh)
    return result


# ---- what the whole file settles ---------------------------------------------------------------------------


def _settle(made: list[Column]) -> None:
    """Mark the columns whose meaning a person could not tell from the whole file."""
    decimals = [column for column in made if column.convention in (".", ",")]
    marks = {id(column): numbers.decimal_marks(_good(column)) for column in decimals}
    settled = {next(iter(found)) for found in marks.values() if len(found) == 1}
    for column in decimals:
        found = marks[id(column)]
        cells = _good(column)
        if len(found) == 1 or not any(re.search("[.,]", cell) for cell in cells):
            continue
        usual = column.convention == "." and not any("," in cell for cell in cells)
        usual = usual and all("." in cell for cell in cells)
        if settled != {column.convention} and not (usual and not settled):
            column.ambiguous = True
            column.style += ", decimal mark not settled"
    _settle_dates([column for column in made if column.meaning == "date"])
    used = [made[-1].meaning != "target" or value is not None for value in made[-1].values]
    for column in made:
        values = {v for v, kept in zip(column.values, used, strict=True) if kept and v is not None}
        if len(values) <= 1 and "skip" not in column.kinds:
            column.kinds = (*column.kinds, "skip")


def _settle_dates(made: list[Column]) -> None:
    orders = {id(column): dates.date_orders(_good(column)) for column in made if column.convention}
    settled = {next(iter(found)) for found in orders.values() if len(found) == 1}
    for column in made:
        is_open = any(re.search(r"(?<!\d)\d{1,2}([-/. ])\d{1,2}\1\d", cell) for cell in _good(column))
        if column.convention and len(orders[id(column)]) != 1 and settled != {column.convention} and is_open:
            column.ambiguous = True
            column.style += ", order not settled"


def _good(column: Column) -> list[str]:
    return [cell for cell, value in zip(column.cells, column.values, strict=True) if value is not None]


# ---- the last row ------------------------------------------------------------------------------------------


def _total(rng: random.Random, made: list[Column], layout: Layout) -> list[str] | None:
    if made[0].write is not None or made[0].meaning == "number":
        return None
    row = [rng.choice(LANGUAGES[layout.language].total)]
    for column in made[1:]:
        if column.write is None or column.ambiguous:
            row.append("")
        else:
            row.append(column.write(sum(value for value in column.values if value is not None), rng)[0])
    fits = all(writable(cell, layout) for cell in row) and sum(map(bool, row)) > 1
    return row if fits and not (layout.separator == " " and "" in row) else None


# ---- the command -------------------------------------------------------------------------------------------


def score(
    seeds: range, reader: Callable[[Path, dict[str, Any]], Understood]
) -> dict[int, tuple[str, list[Problem]]]:
    """Return the verdict and the problems of each seed's table, as read by the reader."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            table = make(seed)
            path = table.write(Path(folder))
            problems = judge(reader, path, table)
            results[seed] = (verdict(problems), problems)
            path.unlink()
    return results


def main(arguments: list[str] | None = None) -> int:
    """Score Thalweg's reader, or write the files of some seeds to look at."""
    parser = argparse.ArgumentParser(prog="python -m tests.problem.data.messy", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many tables")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; from 1,000,000 on: held out")
    parser.add_argument("--write", type=Path, help="only write the tables into this folder, and read nothing")
    parser.add_argument("--all", action="store_true", help="list what was asked about, too")
    chosen = parser.parse_args(arguments)
    seeds, started = range(chosen.seed, chosen.seed + chosen.count), time.perf_counter()
    if chosen.write:
        chosen.write.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            make(seed).write(chosen.write)
        print(f"{len(seeds)} tables written in {time.perf_counter() - started:.1f} s")
        return 0
    results = score(seeds, understood_by_thalweg)
    print(report(results, with_asked=chosen.all))
    print(f"{time.perf_counter() - started:.1f} s")
    return int(any(kind == SILENT for kind, _ in results.values()))


def report(results: dict[int, tuple[str, list[Problem]]], with_asked: bool = False) -> str:
    """Return the tally and, by style, the seeds that failed with a reason each."""
    tally = [f"{sum(kind == k for kind, _ in results.values())} {k}" for k in (RIGHT, ASKED, SILENT)]
    groups: dict[str, list[str]] = defaultdict(list)
    for seed, (_, problems) in results.items():
        for problem in problems:
            if problem.silent or with_asked:
                word = "" if problem.silent else "asked: "
                groups[problem.style].append(f"  {seed}: {word}{problem.reason}")
    lines = [f"{len(results)} tables: " + ", ".join(tally)]
    for style in sorted(groups, key=lambda style: -len(groups[style])):
        lines += [f"{style} ({len(groups[style])})", *groups[style]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
