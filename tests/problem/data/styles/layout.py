"""How a file is written, apart from its cells: separators, quotes, encodings, names, lines around it."""

import random
import re
from dataclasses import dataclass, replace

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.faults import KNOWN_MARKS
from tests.problem.data.styles.words import LANGUAGES

SPACES = "runs of spaces"
SINGLE = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Layout:
    """How the file is written, apart from its cells.

    Args:
        separator: What stands between cells; `SPACES` for aligned columns.
        language: Key of `LANGUAGES`.
        encoding: Python's name; utf-16 is written with its mark.
        newline: Line end.
        quoting: `minimal`, `all`, `words` (all but numbers, as R does) or `none`.
        header: `names`, `none`, `numbers`, `years`, `duplicates`, `r` (one name fewer: row names) or
            `comment` (behind a #).
        suffix: Of the file, with .gz for a compressed one.
        before: Lines before the table; a NUL at the end stands for the separators of empty cells.
        after: Lines behind the table.
        sep_line: Whether the first line is `sep=;`.
        trailing: Whether lines end with a separator: `no`, `rows`, or `all`, the header too.
        total: Whether the last row holds sums.
        final: Whether the last line has a line end.
        padded: Whether cells are filled with spaces to the column's width.
        short: Whether lines end after the last cell that is not empty.
        odd: A line in between that is no row: `comment`, `header` (again) or `units` (under the header).
        empty_rows: Whether one or two rows have empty cells only.
        program: What wrote the whole table in its own way, as in `programs.py`.
    """

    separator: str
    language: str
    encoding: str
    newline: str
    quoting: str
    header: str
    suffix: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    sep_line: bool = False
    trailing: str = "no"
    total: bool = False
    final: bool = True
    padded: bool = False
    short: bool = False
    odd: str = ""
    empty_rows: bool = False
    program: str = ""

    @property
    def label(self) -> str:
        """The layout in a few words, leaving out what is usual."""
        unusual = {
            self.encoding: self.encoding != "utf-8",
            f"header {self.header}": self.header != "names",
            f"quoting {self.quoting}": self.quoting != "minimal",
            "line end CR": self.newline == "\r",
            "preamble": bool(self.before),
            "footer": bool(self.after),
            "sep=": self.sep_line,
            f"trailing {self.trailing}": self.trailing != "no",
            "total row": self.total,
            "padded": self.padded,
            "short rows": self.short,
            f"{self.odd} in between": bool(self.odd),
            "empty rows": self.empty_rows,
            f"written as {self.program}": bool(self.program),
        }
        return ", ".join(
            [f"separator {self.separator!r}", *(text for text, holds in unusual.items() if holds)]
        )

    @property
    def bare(self) -> str:
        """The separator without spaces around it, which a cell without quotes must not contain."""
        return self.separator.strip() or self.separator


_ENCODINGS = {
    "english": ["utf-8"] * 8 + ["utf-8-sig", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252"],
    "german": ["utf-8"] * 3 + ["utf-8-sig", "utf-16-le", "cp1252", "cp1252", "latin-1"],
    "french": ["utf-8"] * 3 + ["utf-8-sig", "utf-16-le", "cp1252", "latin-1"],
    "russian": ["utf-8", "utf-8-sig", "cp1251", "cp1251"],
    "japanese": ["utf-8", "utf-8-sig", "shift_jis"],
}
_SEPARATORS = (
    [","] * 8 + [";"] * 5 + ["\t"] * 4 + ["|", "|", SPACES, SPACES, "R", ", ", "::", "||", " ; ", " | "]
)
_HEADERS = ["names"] * 14 + ["none"] * 4 + ["numbers", "years", "duplicates", "comment"]


def draw(rng: random.Random, rows: int) -> Layout:
    """Return a random layout for a table of so many rows."""
    language = rng.choice(["english"] * 12 + ["german"] * 4 + ["french"] * 2 + ["russian", "japanese"])
    encoding = rng.choice(_ENCODINGS[language])
    separator = rng.choice(_SEPARATORS)
    newline = rng.choice(["\n"] * 10 + ["\r\n"] * 6 + ["\r"])
    if separator == "R":
        return Layout(" ", language, encoding, newline, "words", "r", rng.choice([".txt", ".dat", ".csv"]))
    quoting = rng.choice(["minimal"] * 5 + ["all", "words", "none"])
    if separator not in SINGLE:
        quoting = "minimal" if separator == ", " else "none"
    suffix = rng.choice(_suffixes(separator))
    suffix += rng.choice([".gz", ".gz", ".GZ"]) if rng.random() < 0.05 else ""
    layout = Layout(separator, language, encoding, newline, quoting, rng.choice(_HEADERS), suffix)
    layout = _surrounded(rng, replace(layout, final=rng.random() < 0.9))
    return _twisted(rng, rows, layout)


def _suffixes(separator: str) -> list[str]:
    if separator == "\t":
        return [".tsv", ".tsv", ".txt", ".csv", ".dat", ".TSV"]
    if separator == SPACES:
        return [".txt", ".dat", ".data", ".csv"]
    return [".csv"] * 8 + [".CSV", ".txt", ".txt", ".data", ".dat"]


def _surrounded(rng: random.Random, layout: Layout) -> Layout:
    """Add lines before and behind the table."""
    if layout.header == "comment":
        return layout
    if rng.random() < 0.08:
        comments = ["# made by logger 4.1", "# station 12, room 3", "#", "# values are means of five runs"]
        layout = replace(layout, before=tuple(rng.sample(comments, rng.randint(1, 3))))
    elif layout.header != "none" and layout.separator != SPACES and rng.random() < 0.1:
        titles = [*LANGUAGES[layout.language].titles, "Station 1234", "Period 2020-2021"]
        chosen = rng.sample(titles, rng.randint(1, 2)) + ([""] if rng.random() < 0.6 else [])
        filled = rng.random() < 0.3 and layout.separator in SINGLE
        layout = replace(layout, before=tuple(line + "\0" if filled else line for line in chosen))
    if layout.separator != SPACES and rng.random() < 0.06:
        footers = [
            ["Source: Statistical Office"],
            ["", "Source: own survey"],
            ["# end of data"],
            ["", "* estimated"],
        ]
        layout = replace(layout, after=tuple(rng.choice(footers)))
    elif rng.random() < 0.05:
        layout = replace(layout, after=("",) * rng.randint(1, 3))
    return layout


def _twisted(rng: random.Random, rows: int, layout: Layout) -> Layout:
    """Add at most one or two of the rarer habits, where the separator allows them."""
    single, named = layout.separator in SINGLE, layout.header == "names"
    if layout.separator == SPACES or layout.header == "comment":
        return layout
    if rng.random() < 0.07:
        layout = replace(layout, trailing=rng.choice(["rows", "all"]))
    elif single and layout.quoting == "none" and rng.random() < 0.2:
        layout = replace(layout, padded=True)
    elif single and named and rng.random() < 0.03:
        layout = replace(layout, short=True)
    elif single and layout.quoting in ("minimal", "none") and rows >= 10 and rng.random() < 0.025:
        layout = replace(layout, empty_rows=True)
    if rows >= 5 and layout.header != "none" and rng.random() < 0.08:
        layout = replace(layout, total=True)
    elif single and named and rows >= 10 and rng.random() < 0.025:
        layout = replace(layout, odd=rng.choice(["comment", "header", "units"]))
    if single and not layout.before and rng.random() < 0.04:
        layout = replace(layout, sep_line=True)
    return layout


# ---- cells -------------------------------------------------------------------------------------------------


def writable(cell: str, layout: Layout) -> bool:
    """Return whether the layout can write the cell so that a person reads it back."""
    try:
        # Windows reads some signs of shift_jis differently: leave those out.
        other = "cp932" if layout.encoding == "shift_jis" else layout.encoding
        if not cell.isascii() and cell.encode(layout.encoding).decode(other) != cell:
            return False
    except UnicodeEncodeError:
        return False
    if layout.separator == SPACES:
        return bool(cell) and not re.search(r"\s|\"|#", cell)
    if cell.startswith("#") or ("\n" in cell and layout.newline != "\n"):
        return False
    if layout.quoting != "none":
        return not (layout.separator == " " and '"' in cell)
    bare = layout.bare
    return bare not in cell and bare[0] not in cell[-1:] and "\n" not in cell and not cell.startswith('"')


def _is_plain(cell: str) -> bool:
    """Return whether R and Python take the cell for a number, or for a missing one."""
    return cell in KNOWN_MARKS or re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", cell, re.I) is not None


def _quoted(cell: str, layout: Layout, wordy: bool) -> str:
    if layout.quoting == "none":
        return cell
    special = layout.bare in cell or any(sign in cell for sign in '"\r\n')
    always = layout.quoting == "all" or (layout.quoting == "words" and wordy and cell not in KNOWN_MARKS)
    return '"' + cell.replace('"', '""') + '"' if special or always else cell


# ---- lines -------------------------------------------------------------------------------------------------


def lines(
    rng: random.Random, made: list[Column], header: list[str] | None, total: list[str] | None, layout: Layout
) -> list[str]:
    """Return the lines of the file; `total` is a further row."""
    grid = [list(row) for row in zip(*(column.cells for column in made), strict=True)]
    wordy = [not all(map(_is_plain, column.cells)) for column in made]
    rows = [[_quoted(cell, layout, wordy[i]) for i, cell in enumerate(row)] for row in grid]
    names = None if header is None else [_quoted(name, layout, True) for name in header]
    if layout.header == "r" and names:
        names = names[1:]
    if layout.header == "comment" and names:
        names = ["# " + names[0], *names[1:]]
    numeric = [column.write is not None and not wordy[i] for i, column in enumerate(made)]
    rows = _with_odd_line(rng, numeric, names, rows, layout)
    rows += [] if total is None else [[_quoted(cell, layout, True) for cell in total]]
    first = [f"sep={layout.separator}"] if layout.sep_line else []
    return first + _before(layout, len(made)) + _joined(names, rows, layout) + list(layout.after)


def _before(layout: Layout, columns: int) -> list[str]:
    before = [line.replace("\0", layout.separator * (columns - 1)) for line in layout.before]
    if layout.separator == SPACES:
        return before
    return [line for line in before if line.startswith("#") or layout.bare not in line.rstrip(layout.bare)]


def _with_odd_line(
    rng: random.Random, numeric: list[bool], names: list[str] | None, rows: list[list[str]], layout: Layout
) -> list[list[str]]:
    place = rng.randrange(3, len(rows)) if layout.odd else 0
    if layout.odd == "comment":
        return [*rows[:place], ["# restarted"], *rows[place:]]
    if layout.odd == "header" and names:
        return [*rows[:place], names, *rows[place:]]
    if layout.odd == "units":
        units = ["[kg]", "(m)", "(°C)" if layout.encoding != "shift_jis" else "(K)", "%", "[mm/h]"]
        return [[rng.choice(units) if holds else "" for holds in numeric], *rows] if any(numeric) else rows
    return rows


def _joined(names: list[str] | None, rows: list[list[str]], layout: Layout) -> list[str]:
    if layout.separator == SPACES or layout.padded:
        return _aligned(names, rows, layout)
    if layout.short:
        rows = [_cut(row) for row in rows]
    end = layout.separator if layout.separator == "\t" else layout.separator.rstrip()
    side = end if layout.trailing in ("rows", "all") else ""
    top = end if layout.trailing == "all" else ""
    joined = [layout.separator.join(row) + (side if len(row) > 1 else "") for row in rows]
    return joined if names is None else [layout.separator.join(names) + top, *joined]


def _cut(row: list[str]) -> list[str]:
    while len(row) > 1 and row[-1] in ("", '""'):
        row = row[:-1]
    return row


def _aligned(names: list[str] | None, rows: list[list[str]], layout: Layout) -> list[str]:
    grid = rows if names is None else [names, *rows]
    full = [row for row in grid if len(row) > 1 or len(grid[0]) == 1]
    widths = [max(len(row[i]) for row in full) for i in range(len(full[0]))]
    if layout.padded:
        between = layout.separator
        return [
            between.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in grid
        ]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False)) for row in grid]


def encoded(text: str, encoding: str) -> bytes:
    """Return the bytes of the text, with the mark of utf-16."""
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    return mark + text.encode(encoding)
