"""Columns of words, sentences, codes and row numbers."""

import random
import string
from typing import Any

from tests.problem.data.styles import words
from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language


def category(rng: random.Random, rows: int, language: Language, meaning: str = "category") -> Column:
    """Return a column of a few repeated strings; in a table of few rows it may as well be called text."""
    if rows >= 90 and rng.random() < 0.06:
        levels = [f"P{rng.randrange(10, 99)}{rng.choice('abc')}" for _ in range(rng.randint(12, 30))]
    else:
        family = rng.choice(language.families)
        levels = rng.sample(family, rng.randint(2, min(len(family), max(2, rows // 4))))
    if rng.random() < 0.1 and len(levels) > 2:
        weights = [1.0] + [0.15] * (len(levels) - 1)
    else:
        weights = [1.0] * len(levels)
    values = rng.choices(levels, weights, k=rows)
    names = language.target if meaning == "target" else language.category
    kinds = ("category", "text") if rows < 12 or len(set(values)) > rows / 3 else ("category",)
    return Column(rng.choice(names), meaning, values, list(values), "category words", kinds)


def people(rng: random.Random, rows: int, language: Language) -> Column:
    """Return names of people: words that hardly repeat, whatever a reader calls them."""
    first, last = (
        ("Anna", "Ben", "Carla", "Dan", "Eva", "Finn"),
        ("Smith", "Jones", "Meyer", "Novak", "Rossi"),
    )
    values = [
        f"{rng.choice(first)} {rng.choice('ABCDEFGHKLMNPRSTW')}. {rng.choice(last)}" for _ in range(rows)
    ]
    kinds = ("text", "category", "skip")
    return Column(rng.choice(language.category), "category", values, list(values), "names of people", kinds)


def inches(rng: random.Random, rows: int, language: Language) -> Column:
    """Return categories with a quote inside, which stands there as it is if the file quotes nothing."""
    levels = rng.choice([('5"', '7"', '10"'), ('24" wide', '27" wide'), ('pipe 1/2"', 'pipe 3/4"')])
    values = rng.choices(levels, k=rows)
    kinds = ("category", "text") if rows < 12 else ("category",)
    kinds = (*kinds, "number") if levels[0] == '5"' else kinds  # inches are a unit too
    return Column(rng.choice(language.category), "category", values, list(values), "quotes for inches", kinds)


def classes(rng: random.Random, rows: int, language: Language) -> Column:
    """Return a target of integer classes: 0/1, or 1 to k."""
    levels = rng.choice([(0, 1), (0, 1), (1, 2, 3), (0, 1, 2)])
    values = [str(rng.choice(levels)) for _ in range(rows)]
    return Column(
        rng.choice(language.target), "target", values, list(values), "integer classes", ("category", "number")
    )


def code(rng: random.Random, rows: int) -> Column:
    """Return integers that are names of things: with leading zeros, or under a telling name."""
    zeros, name = rng.random() < 0.5, rng.choice(words.CODE_NAMES)
    many = rng.randint(4, max(5, min(25, rows // 4)))
    digits = rng.choice([3, 4, 5])
    levels = {f"{rng.randrange(10 ** (digits - 1), 10**digits)}" for _ in range(many)}
    if zeros:
        levels = {"0" + level[1:] if rng.random() < 0.4 else level for level in sorted(levels)} | {
            f"{7:0{digits}d}"
        }
    values = rng.choices(sorted(levels), k=rows)
    zeros = any(value.startswith("0") for value in values)
    style = "code with leading zeros" if zeros else "code without leading zeros"
    kinds = ("category", "text") if rows < 12 or len(set(values)) > rows / 2 else ("category",)
    return Column(name, "code", values, list(values), style, kinds, ambiguous=not zeros, needs_name=not zeros)


def text(rng: random.Random, rows: int, language: Language, newlines: bool = False) -> Column:
    """Return sentences of several words; `newlines`: some have a line end inside."""
    share = rng.choice([0, 0, 0.25])
    cells: list[str] = []
    for _ in range(rows):
        if cells and rng.random() < share and rows >= 12:
            cells.append(cells[0] if rng.random() < 0.5 else rng.choice(cells))
        else:
            cells.append(_sentence(rng, language, newlines))
    return Column(rng.choice(language.text), "text", list(cells), cells, "text", ("text",))


def _sentence(rng: random.Random, language: Language, newlines: bool) -> str:
    chosen = rng.choices(language.words, k=rng.randint(5, 14))
    if rng.random() < 0.3:
        chosen[2] += rng.choice([",", ".", ";", ":", "!", " -"])
    if rng.random() < 0.1:
        chosen[3] = str(rng.randint(2, 500))
    if newlines and rng.random() < 0.2:
        chosen[1] += "\n"
    result = " ".join(chosen).replace("\n ", "\n")
    return (result[0].upper() + result[1:]) + rng.choice([".", "", "!", "..."])


def index(rng: random.Random, rows: int, named: bool) -> Column:
    """Return row numbers or identifiers; without a header only plain row numbers can be recognised."""
    kind = rng.choice(["count", "count", "key", "string", "uuid"]) if named else "count"
    if kind == "count":
        start = rng.choice([0, 1, 1])
        cells, name = [str(start + i) for i in range(rows)], rng.choice(words.INDEX_NAMES)
    elif kind == "key":
        cells = [str(n) for n in rng.sample(range(10_000, 99_999), rows)]
        name = rng.choice(words.KEY_NAMES)
    elif kind == "string":
        prefix = rng.choice(["u", "C-", "ID", "row "])
        cells, name = [f"{prefix}{i:03d}" for i in range(rows)], rng.choice(words.INDEX_NAMES)
    else:
        letters = string.hexdigits[:16]
        cells, name = ["".join(rng.choices(letters, k=12)) + "-x" for _ in range(rows)], "uuid"
    return Column(name, "index", list(cells), cells, f"index {kind}", ("skip",), needs_name=kind == "key")


def row_names(rng: random.Random, rows: int, header: str) -> Column:
    """Return the first column of R's tables and of tables whose names are numbers."""
    if header == "years":
        cells = [f"c{i}" for i in range(rows)]
        return Column("city", "index", list(cells), cells, "index of names", ("skip", "category", "text"))
    kind = rng.choice(["numbers", "names"]) if header == "r" else "numbers"
    start = 1 if header == "r" else 0
    cells = [str(i + start) if kind == "numbers" else f"Mazda RX{i}" for i in range(rows)]
    return Column("", "index", list(cells), cells, f"index nameless, {kind}", ("skip",))


def constant(rng: random.Random, rows: int, language: Language) -> Column:
    """Return a column with one value throughout."""
    value, kind, names = rng.choice(
        [
            ("1", "number", language.number),
            ("2.5", "number", language.number),
            (language.families[0][0], "category", language.category),
            ("", "empty", language.category),
        ]
    )
    if kind == "empty":
        kinds: tuple[str, ...] = ("skip", "number", "category", "text", "date")
        values: list[Any] = [None] * rows
    else:
        kinds = (kind, "skip", "category") if kind == "number" else (kind, "skip", "text")
        values = [float(value)] * rows if kind == "number" else [value] * rows
    style = "empty column" if kind == "empty" else f"constant {kind}"
    meaning = "category" if kind == "empty" else kind
    return Column(rng.choice(names), meaning, values, [value] * rows, style, kinds)
