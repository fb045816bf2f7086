"""What programs add to a text table is taken away: drawn lines, unusual quotation marks."""

from __future__ import annotations

import re

from thalweg.problem.data.files.separator import QUOTED
from thalweg.problem.data.note import Note

# A line that draws a table: `---+---`, `|:--|--:|`, `====  ====`.
_RULE = re.compile(r"[ \t|+]*(?::?(?:-{2,}|={2,}):?[ \t|+]*)+")
_FORMULA = re.compile(
    r'(?:(?<=[,;\t|])|(?<=[;|] )|(?<=::)|(?<=\n)|\A)"?="{1,2}([^"\n]*)"{1,3}(?= ?(?:[,;\t|\n]|::)| ?\Z)'
)
_QUOTED_FORMULA = re.compile(r'"=""([^"\n]*)"""')  # the same, quoted once more
_SINGLE_QUOTED = re.compile(r"(?:(?<=[,;\t|])|(?<=\n)|\A)'(?:[^'\n]|'')*'(?=[,;\t|\n]|\Z)")
# A line that is one quoted cell: Excel writes whole lines so if a file is opened and saved as one column.
_ONE_CELL = re.compile(r'"((?:[^"]|"")*)"[,;\t]*')
# A quotation mark between two others that neither opens nor closes a cell.
_CLOSED = re.compile(r'(?:(?<=[,;\t|])|(?<=\n)|\A)"(?:[^"]|"")*"(?![,;\t|\n" ]|\Z)')


def usual_quotes(text: str) -> str:
    """Write a text's quotation marks as most programs do.

    Some programs quote with ', write a quotation mark inside a cell as \\", or ="00123" to keep zeros.
    """
    if '="' in text:
        text = _QUOTED_FORMULA.sub(r'"\1"', text)
        text = _FORMULA.sub(r'"\1"', text)
    if '\\"' in text:
        other = text.replace('\\"', '""')
        joined, closed = joined_lines(other.split("\n"))
        # In "C:\\" the backslash belongs to the cell, and the mark closes it.
        if closed and len(joined) == len(joined_lines(text.split("\n"))[0]) and not _CLOSED.search(other):
            text = other
    singles = text.count("'")
    if singles > 3 and '"' not in text:
        quoted = _SINGLE_QUOTED.findall(text)
        if sum(cell.count("'") for cell in quoted) == singles and len(quoted) >= text.count("\n"):
            text = _SINGLE_QUOTED.sub(lambda cell: '"' + cell[0][1:-1].replace("''", "'") + '"', text)
    return text


def unwrapped(text: str) -> tuple[str, tuple[Note, ...]]:
    """Take away quotation marks around whole lines, if the cells in them are divided alike in all lines."""
    lines = [line for line in text.split("\n") if line.strip()]
    cells = [match[1].replace('""', '"') for line in lines if (match := _ONE_CELL.fullmatch(line.strip()))]
    if len(lines) < 3 or len(cells) < len(lines) - 1:
        return text, ()
    inside = [*(lines[:1] if len(cells) < len(lines) else ()), *cells]
    for mark in ("\t", ";", ",", "|"):
        fields = {QUOTED.sub("", line).count(mark) for line in inside}
        if len(fields) == 1 and fields != {0}:
            note = Note("lines", "whole lines stand in quotation marks, which were taken away.")
            return "\n".join(inside), (note,)
    return text, ()


def without_drawing(text: str) -> tuple[str, tuple[Note, ...]]:
    """Leave out what draws a table: lines of dashes below the names or around the rows, bars at the sides.

    Dashes elsewhere may mark missing values.
    """
    lines = text.split("\n")
    first = [i for i, line in enumerate(lines) if line.strip()][:2]
    rules = {i for i in first if _RULE.fullmatch(lines[i])}
    rules |= {i for i, line in enumerate(lines) if line.strip()[:1] == "+" and _RULE.fullmatch(line)}
    kept = [line for i, line in enumerate(lines) if i not in rules]
    barred = [line.strip()[:1] == line.strip()[-1:] == "|" for line in kept]
    names = next((bars for line, bars in zip(kept, barred, strict=True) if "|" in line), False)
    if names and sum(barred) > max(1, 0.9 * sum(bool(line.strip()) for line in kept) - 1):
        kept = [line.strip()[1:-1] if bars else line for line, bars in zip(kept, barred, strict=True)]
    if not rules:
        return "\n".join(kept), ()
    return "\n".join(kept), (left_out("inside", [lines[i] for i in sorted(rules)]),)


def joined_lines(lines: list[str]) -> tuple[list[str], bool]:
    """Join lines while a quotation mark is open; return them, and whether all marks are closed."""
    joined: list[str] = []
    part: list[str] = []
    for line in lines:
        odd = line.count('"') % 2 == 1
        if part or odd:
            part.append(line)
        else:
            joined.append(line)
        if len(part) > 1 and odd:
            joined.append("\n".join(part))
            part = []
    return joined + part, not part


def left_out(where: str, lines: list[str]) -> Note:
    """Return a note on lines `before`, `inside` or `after` the table that are not part of it."""
    places = {"before": "before the table", "inside": "inside the table", "after": "after the table"}
    count = "a line" if len(lines) == 1 else f"{len(lines)} lines"
    verb = "is" if len(lines) == 1 else "are"
    first = lines[0].replace("\x1f", " ").strip()  # not a separator of ours
    shown = first if len(first) <= 60 else first[:57] + "..."
    return Note("lines", f"{count} {places[where]} {verb} not part of it and left out: {shown!r}.")
