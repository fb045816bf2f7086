"""How programs write whole tables: databases, spreadsheets, surveys, loggers, and what goes wrong on the way.

Each takes the lines of a plain table, names first, and returns those that the program writes.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.layout import SINGLE, SPACES, Layout
from tests.problem.data.styles.words import LANGUAGES

GROUPS = (("2019", "2020"), ("Men", "Women"), ("before", "after"), ("Plant A", "Plant B"))
UNITS = ("kg", "degC", "hPa", "m/s", "mm")


def draw(rng: random.Random, layout: Layout, made: list[Column]) -> str:
    """Return the program that writes the table, empty for none; only plain layouts can have one."""
    unusual = (
        layout.before or layout.after or layout.sep_line or layout.total or layout.padded or layout.short
    )
    if layout.header != "names" or unusual or layout.odd or layout.empty_rows or layout.trailing != "no":
        return ""
    rows, numbers = len(made[0].cells), [column for column in made if column.write and _is_bare(column)]
    choices = ["mixed line ends", "NUL at the end", "two marks"]
    single = layout.separator in SINGLE
    if layout.separator == SPACES and _full_names(made):
        choices.append("printed")
    if single and rows >= 8:
        choices += ["settings"] if len(made) >= 4 and _full_names(made) else []
        choices += ["wide rows", "footer with separators"]
        choices += ["units"] * 2 if len(numbers) >= 2 and rows >= 12 else []
        choices += ["groups"] * 2 if len(numbers) >= 4 and made[1:5] == numbers[:4] else []
        choices += ["sums", "statistics"] if numbers and made[0].meaning in ("category", "index") else []
    if single and layout.quoting in ("minimal", "all") and len(made) > 1:
        choices.append("lines in quotes")
    if layout.separator == "\t" and layout.quoting == "none" and _full_names(made):
        choices += ["dump"] * 3
    if layout.separator == " | ":
        choices += ["psql", "markdown", "mysql"]
    return rng.choice(choices)


def _is_bare(column: Column) -> bool:
    """Return whether all cells are plain numbers, none missing, whose sum is larger than each."""
    try:
        values = [float(cell) for cell in column.cells]
    except ValueError:
        return False
    return not column.ambiguous and sum(values) > 1.5 * max(map(abs, values)) > 0


def _full_names(made: list[Column]) -> bool:
    names = [column.name for column in made]
    return all(names) and not any(set('",()\t') & set(name) for name in names)


def grouped_names(rng: random.Random, made: list[Column], header: list[str]) -> tuple[list[str], list[str]]:
    """Return the two lines of names of columns in groups, and the names that they stand for.

    The first line is returned as the first element; the second line is the header itself.
    """
    first, second = rng.choice(GROUPS)
    upper = ["", first, "", second, "", *([""] * (len(made) - 5))]
    meant = [header[0], *(f"{first} {name}" for name in header[1:3]), *(f"{second} {n}" for n in header[3:])]
    return upper, meant


def written(
    rng: random.Random, program: str, lines: list[str], made: list[Column], layout: Layout
) -> list[str]:
    """Return the lines of the file as the program writes them."""
    separator, rows = layout.separator, len(made[0].cells)
    if program == "lines in quotes":
        whole = ['"' + line.replace('"', '""') + '"' for line in lines]
        return [lines[0], *whole[1:]] if rng.random() < 0.5 else whole
    if program == "settings":
        empty = separator * (len(made) - 2)
        return [f"Station{separator}12{empty}", f"Logger{separator}AB-7{empty}", *lines]
    if program == "wide rows":
        return [lines[0], *(line + separator * 3 for line in lines[1:])]
    if program == "footer with separators":
        return [*lines, "", f"Source: own survey{separator} values are estimated"]
    if program == "units":
        cells = [rng.choice(UNITS) if c.write and _is_bare(c) else rng.choice(["", "-"]) for c in made]
        return [lines[0], separator.join(cells), *lines[1:]]
    if program in ("sums", "statistics"):
        return [*lines, *(separator.join(row) for row in _below(rng, program, made, layout))]
    if program == "dump":
        names = ", ".join(column.name for column in made)
        return [f"COPY public.survey ({names}) FROM stdin;", *lines[1:], "\\."]
    if program == "psql":
        rule = "-+-".join("-" * max(2, len(column.name)) for column in made)
        return [f" {lines[0]} ", rule, *(f" {line} " for line in lines[1:]), f"({rows} rows)"]
    if program == "markdown":
        return [f"| {lines[0]} |", "|" + ":---|" * len(made), *(f"| {line} |" for line in lines[1:])]
    if program == "mysql":
        rule = "+" + "-----+" * len(made)
        drawn = [f"| {line} |" for line in lines]
        return [rule, drawn[0], rule, *drawn[1:], rule, f"{rows} rows in set (0.01 sec)"]
    if program == "printed":
        width = len(str(rows))
        return [" " * width + "  " + lines[0], *(f"{i:<{width}}  {line}" for i, line in enumerate(lines[1:]))]
    return lines


def _below(rng: random.Random, program: str, made: list[Column], layout: Layout) -> list[list[str]]:
    """Return rows of sums or statistics: the first cell says so, or nothing."""

    def row(first: str, value: Callable[[list[float]], float]) -> list[str]:
        cells = [[float(cell) for cell in column.cells] if _is_sum(column) else [] for column in made[1:]]
        return [first, *(f"{value(some):.4f}".rstrip("0").rstrip(".") if some else "" for some in cells)]

    if program == "sums":
        first = rng.choice(["", "", rng.choice(LANGUAGES[layout.language].total)])
        return [row(first, sum)]
    return [row("Min", min), row("Max", max), row("Mean", lambda values: sum(values) / len(values))]


def _is_sum(column: Column) -> bool:
    return column.write is not None and _is_bare(column)


def text(rng: random.Random, program: str, lines: list[str], layout: Layout) -> str:
    """Return the text of the file: lines joined, with what goes wrong at their ends."""
    end = layout.newline if layout.final else ""
    if program == "mixed line ends":
        return "".join(line + rng.choice(["\n", "\r\n"]) for line in lines)
    joined = layout.newline.join(lines) + end
    if program == "NUL at the end":
        return joined + "\0" * rng.randint(1, 3)
    return (
        "\ufeff\ufeff" + joined if program == "two marks" and layout.encoding.startswith("utf-8") else joined
    )


def with_index(made: list[Column]) -> list[Column]:
    """Return the columns with the row numbers that pandas prints before them."""
    numbers = [str(i) for i in range(len(made[0].cells))]
    index = Column("", "index", list(numbers), numbers, "index nameless, printed", ("skip",))
    return [index, *(replace(column) for column in made)]
