"""Text tables (CSV, TSV and their relatives) to cells: separator, quotation marks, lines around the table.

The cells stay text. A file is understood from the lines that agree: the separator is the one that divides
most lines into the same number of fields, and lines with another number that stand before or after these are
not part of the table.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.plain_form import (
    joined_lines,
    left_out,
    unwrapped,
    usual_quotes,
    without_drawing,
)
from thalweg.problem.data.files.separator import (
    AGREEMENT,
    COMMENT,
    QUOTED,
    SHOWN,
    SPACES,
    SPELLINGS,
    WIDE,
    find_separator,
)
from thalweg.problem.data.files.short_rows import ended_early, filled_ends, names_of_rows, short_rows
from thalweg.problem.data.files.sums import without_sums
from thalweg.problem.data.note import Note, guess

# ASCII's own separator of fields stands for separators of several characters: no text holds it.
_UNIT = "\x1f"
_SPACE_ENDS = re.compile(r"\n*[^\n]*[^ \n]\n+(?:[^\n]* \n+)+(?:[^\n]* )?\Z")
_RUNS = {SPACES: re.compile(r'"[^"\n]*"|[ \t]+'), WIDE: re.compile(r'"[^"\n]*"|\t| {2,}')}


@dataclass(frozen=True)
class Cells:
    """The cells of a text table.

    Args:
        frame: All rows, the header among them, under names that mean nothing; empty cells are null.
        separator: What separates the cells.
        notes: What was guessed, and which lines were left out.
    """

    frame: pl.DataFrame
    separator: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Lines:
    """Lines of a text, joined where a line end stands inside quotation marks, with their numbers of fields.

    Args:
        text: The lines.
        fields: How many fields each has; 0 for a blank line.
        quoted: Whether quotation marks quote.
    """

    text: list[str]
    fields: list[int]
    quoted: bool

    @property
    def width(self) -> int:
        """The most frequent number of fields; of equally frequent ones that of the earliest line.

        Single fields, as in titles, count only if they are more.
        """
        lines = zip(self.text, self.fields, strict=True)
        counts = Counter(count for line, count in lines if count and not COMMENT.match(line))
        several = Counter({fields: lines for fields, lines in counts.items() if fields > 1})
        most = several.most_common(1)[0][1] if several else 0
        if most and (most >= counts[1] or most >= AGREEMENT * counts.total()):
            counts = several
        return counts.most_common(1)[0][0] if counts else 1

    @property
    def ragged(self) -> int:
        """How many lines have another number of fields than most."""
        width = self.width
        return sum(count not in (0, width) for count in self.fields)

    def number(self, index: int) -> int:
        """Return the number of a line in the file, from 1."""
        return 1 + sum(line.count("\n") + 1 for line in self.text[:index])


def read_cells(text: str, path: Path, separator: str | None = None) -> Cells:
    """Divide a text table into cells.

    Args:
        text: The whole file, with lines ending in \\n.
        path: For messages, and for the suffix.
        separator: What separates cells, of any length; `space` for runs of spaces and tabs; None: found.

    Raises:
        DataError: Lines inside the table differ in their number of fields, or a quotation mark is not closed.
    """
    text, stated = _stated_separator(text)
    text, wrapped = unwrapped(text)
    text, drawn = without_drawing(usual_quotes(text))
    given = SPELLINGS.get(separator or "", separator) or stated
    chosen, sure = (given, True) if given else find_separator(text)
    ended = chosen in _RUNS and _SPACE_ENDS.match(text) is not None
    if ended and names_of_rows(text):
        text, ended = filled_ends(text), False
    single, mark = _single(text, chosen)
    lines = _lines(single, mark, path)
    body, notes = _table_lines(lines, mark, path, chosen in _RUNS)
    frame = _parsed(body, mark, lines.quoted, path)
    frame, total = without_sums(frame)
    shown = SHOWN.get(chosen, chosen)
    if not sure and lines.width == 1 and chosen == ";" and ";" not in text:
        one = "the lines were read as one column, of numbers with decimal commas."
        notes = (guess("separator", one, separator=","), *notes)
    elif not sure and lines.width > 1:
        other = ";" if chosen == "," else ","
        notes = (guess("separator", f"cells are separated by {shown!r}.", separator=other), *notes)
    if ended:
        end = "every row but the first ends in a space: it was not read as one more, empty cell."
        notes = (guess("separator", end, separator=","), *notes)
    return Cells(frame, chosen, (*wrapped, *drawn, *notes, *total))


def _stated_separator(text: str) -> tuple[str, str | None]:
    """Take away Excel's first line `sep=;`, and return the separator that it states.

    PostgreSQL's dumps state the names in the same place: `COPY people (name, age) FROM stdin;`.
    """
    dump = re.match(r"\s*COPY\s+\S+\s*\(([^)]*)\)\s+FROM\s+stdin[^\n]*;[ \t]*\n", text)
    if dump:
        names = [name.strip(' "') for name in dump[1].split(",")]
        return "\t".join(names) + "\n" + text[dump.end() :], "\t"
    match = re.match(r'\s*"?sep=(\\t|.)"?[ \t]*\n', text)
    return (text[match.end() :], SPELLINGS.get(match[1], match[1])) if match else (text, None)


def _single(text: str, separator: str) -> tuple[str, str]:
    """Return the text with a separator of one character, and that character."""
    if separator in _RUNS:
        trimmed = re.sub(r"(?m)^[ \t]+|[ \t]+$", "", text)
        return _RUNS[separator].sub(lambda run: run[0] if run[0][0] == '"' else _UNIT, trimmed), _UNIT
    if len(separator) > 1:
        return text.replace(separator, _UNIT), _UNIT
    spaced = f'{separator} "'
    if spaced in text:  # a mark quotes only where it touches the separator
        text = text.replace(spaced, f'{separator}"').replace(f'" {separator}', f'"{separator}')
        text = re.sub(r'(?m)" +$', '"', text)
    elif f'" {separator}' in text:
        text = re.sub(rf'(?m)^("(?:[^"\n]|"")*") +(?={re.escape(separator)})', r"\1", text)
    return text, separator


def _lines(text: str, mark: str, path: Path) -> _Lines:
    """Divide a text into lines, and decide whether quotation marks quote.

    They are ordinary characters, as in `5"` for five inches, where only then the lines agree.
    """
    plain = text.split("\n")
    as_they_are = _Lines(plain, [line.count(mark) + 1 if line.strip(" ") else 0 for line in plain], False)
    if '"' not in text:
        return as_they_are
    joined, closed = joined_lines(plain)
    counts = [QUOTED.sub("", line).count(mark) + 1 if line.strip(" ") else 0 for line in joined]
    quoted = _Lines(joined, counts, True)
    opening, closing = (_marks_at(text, mark, end) for end in (False, True))
    if opening == 0:
        return as_they_are
    if closed and abs(opening - closing) <= max(1, 0.02 * opening) and quoted.ragged <= as_they_are.ragged:
        return quoted
    if as_they_are.ragged < quoted.ragged or (as_they_are.ragged == 0 and opening <= closing):
        return as_they_are
    if not closed or opening > closing:
        hint = 'look for a lone "'
        raise DataError("table", "every quotation mark must be closed", where=path, hint=hint)
    return quoted


def _marks_at(text: str, mark: str, end: bool) -> int:
    """Return how many fields begin (or end) with a quotation mark."""
    side = re.escape(mark)
    opened = rf'(?:(?<={side})|(?<=\n)|\A)"'
    pattern = rf'(?<!{side})(?<!\n)(?<!\A)"[ ]*(?={side}|\n|\Z)' if end else opened
    return len(re.findall(pattern, text))


def _table_lines(lines: _Lines, mark: str, path: Path, spaced: bool) -> tuple[str, tuple[Note, ...]]:
    """Return the lines of the table, and notes on what was left out.

    A header may have one field fewer than the rows: R writes row names so, and some programs end every row
    with a separator.
    """
    width, fields = lines.width, lines.fields
    fitting = [i for i, count in enumerate(fields) if count == width]
    titles = _titles([lines.text[i] for i in fitting], mark, width)
    del fitting[:titles]
    if not fitting:
        return "", ()
    while len(fitting) > 2 and _is_remark([lines.text[i] for i in fitting[:3]]):
        del fitting[0]
    first, last = fitting[0], fitting[-1]
    before = [i for i in range(first) if fields[i]]
    after = [i for i in range(last + 1, len(fields)) if fields[i]]
    counted = [not lines.text[i].split(mark)[0].strip(' "') for i in fitting]
    own = counted[0] and not any(
        counted[1:]
    )  # `,0,1` above `0,5.1,3.5`: names without one for the row numbers
    header = [] if own else _header_before(lines, before, width, mark)
    remarks = {i for i in range(first, last) if fields[i] not in (0, width) and _is_comment(lines.text[i])}
    wrong = [i for i in range(first, last) if fields[i] not in (0, width) and i not in remarks]
    apart = [i for i in after if not fields[i - 1] or i - 1 in after]
    wrong += [i for i in after if not _is_footer(lines.text[i], mark, i in apart)]
    short = [] if mark == _UNIT else short_rows(lines.text, fitting, wrong, mark)
    if short:
        wrong = [i for i in wrong if i not in short]
        after = [i for i in after if i not in short]
        last = max(last, *short)
    if not header and not _is_header([lines.text[i] for i in fitting]):
        header = _narrower_header(lines, fitting, before, mark, spaced)
    if not _is_header([lines.text[i] for i in fitting]):  # lines with more fields may be the header
        longer = [i for i in before if fields[i] > width and mark != _UNIT]
        wrong = [i for i in longer if not _is_comment(lines.text[i])] + wrong
    if wrong:
        raise _ragged(lines, wrong, width, path)
    rows = [
        lines.text[i] + mark * (width - fields[i] if i in short else 0)
        for i in range(first, last + 1)
        if (fields[i] or width == 1) and i not in remarks and i not in after
    ]
    named = QUOTED.sub("", header[0]).count(mark) + 1 if header else width
    if named < width and all(row.endswith(mark) for row in rows):  # every row ends in a separator
        rows = [row[: -len(mark)] for row in rows]
    elif named < width:
        header = [mark + header[0]]  # the first column has no name
    if not header and rows and _is_comment(rows[0]) and not any(_is_comment(row) for row in rows[1:9]):
        rows[0] = rows[0].lstrip("#% ")  # names in a comment
    places = (("before", before), ("inside", sorted(remarks)), ("after", after))
    notes = tuple(left_out(where, [lines.text[i] for i in which]) for where, which in places if which)
    notes += (ended_early(short, width, lines.number(short[0])),) if short else ()
    return "\n".join([*header, *rows]), notes


def _header_before(lines: _Lines, before: list[int], width: int, mark: str) -> list[str]:
    """Take the header from the lines before the table: one in a comment, with one field fewer than the rows,
    or with an empty one more.
    """
    if not before or width < 2:
        return []
    line = lines.text[before[-1]]
    plain = line.lstrip("#%! ").removeprefix(mark) if _is_comment(line) else line
    cells = [cell.strip(' "') for cell in plain.split(mark)]
    if len(cells) < 2 or (sum(map(bool, cells)) < max(2, len(cells) / 2) and width > 2):
        return []
    data = _has_values(lines.text[before[-1] + 1]) if before[-1] + 1 < len(lines.text) else True
    if _is_comment(line) and len(cells) in (width, width - 1) and data and not _has_values(plain):
        before.pop()
        return [plain]
    if width > 2 and len(cells) == width - 1 and (data or not _is_comment(line)):
        before.pop()
        return [line]
    if len(cells) == width + 1 and not cells[-1]:
        before.pop()
        return [line[: -len(mark)]]
    return []


def _narrower_header(
    lines: _Lines, fitting: list[int], before: list[int], mark: str, spaced: bool
) -> list[str]:
    """Take a header from the line before the table that has fewer fields than the rows, or another separator.

    The rows then end in as many empty fields, or the header is divided into as many words by another mark;
    pandas prints one word fewer, as the row numbers have no name.
    """
    width = lines.fields[fitting[0]]
    line = lines.text[before[-1]] if before else ""
    if not line or _is_comment(line) or _has_values(line):
        return []
    empty = width - lines.fields[before[-1]]
    end = re.compile(rf"(?:{re.escape(mark)}[ \t]*){{{empty}}}$") if 0 < empty < width - 1 else None
    if end and all(line.split(mark)[1:]) and all(end.search(lines.text[i]) for i in fitting):
        before.pop()
        return [line + mark * empty]
    for other in ("\t", ";", ",", "|", None):
        words = [word.strip(' "') for word in line.split(other)]
        short = other is None and len(words) == width - 1
        if other == mark or (other is None and not (spaced and width > 2)) or len(words) < 2:
            continue
        if (len(words) == width or short) and all(words) and len(set(words)) == len(words):
            before.pop()
            return [mark.join([*([""] if short else ()), *words])]
    return []


def _is_header(lines: list[str]) -> bool:
    """Return whether the first line has no values, and most of the others have some."""
    others = [_has_values(line) for line in lines[1:20]]
    return not _has_values(lines[0]) and sum(others) > len(others) / 2


def _is_remark(first: list[str]) -> bool:
    """Return whether the first of three lines is a comment above a header: only the third has values."""
    values = [_has_values(line) or (i > 1 and any(map(str.isdigit, line))) for i, line in enumerate(first)]
    return _is_comment(first[0]) and not _is_comment(first[1]) and not values[1] and values[2]


def _has_values(line: str) -> bool:
    """Return whether a field begins like a number."""
    return bool(re.search(r'(?:^|[,;|\t\x1f])\s*"?[-+(]?[$€£¥]?\d', line))


def _settings(lines: list[str], mark: str, width: int) -> int:
    """Return how many of the first lines name settings, as in `Station,12,,`, above a full line of names."""
    rows = [[bool(cell.strip(' "')) for cell in line.split(mark)] for line in lines[:20]]
    first = next((i for i, row in enumerate(rows) if sum(row) == width), 0)
    if width < 4 or not first or len(lines) < first + 3:
        return 0
    if not all(sum(row) <= width / 2 and row == sorted(row, reverse=True) for row in rows[:first]):
        return 0  # `,2019,,2020,`: names of several columns
    return first if _is_header(lines[first:]) else 0


def _titles(lines: list[str], mark: str, width: int) -> int:
    """Return how many of the first lines of a table are titles, as spreadsheets export them.

    In a table of two columns a line without a second cell may be a row; then no other line may be one.
    """
    count = 0
    while count < len(lines) - 2 and _is_title(lines[count], mark):
        count += 1
    count = max(count, _settings(lines, mark, width))
    full = not any(_is_title(line, mark) for line in lines[count : count + 20])
    return count if width > 2 or (width == 2 and full) else 0


def _is_title(line: str, mark: str) -> bool:
    """Return whether only the first field of a line has content, or none, as spreadsheets export titles."""
    return not any(cell.strip(' "') for cell in line.split(mark)[1:])


def _is_comment(line: str) -> bool:
    return COMMENT.match(line) is not None


def _is_footer(line: str, mark: str, apart: bool) -> bool:
    """Return whether a last line is a remark: a comment, words in a single field, or the end of a dump.

    Behind a blank line (`apart`), words may hold the separator: `Source: own survey, 2020`.
    """
    words = re.search(r"[^\W\d_]{2}", line) is not None
    sentence = apart and len(re.findall(r"[^\W\d_]{2,}", line)) > 2 and not _has_values(line)
    return _is_comment(line) or line.strip() == "\\." or (words and mark not in line) or sentence


def _ragged(lines: _Lines, wrong: list[int], width: int, path: Path) -> DataError:
    return DataError(
        "table",
        f"every line must have {width} fields, as most have",
        got=f"{lines.fields[wrong[0]]} in line {lines.number(wrong[0])}",
        where=f"{path}: {len(wrong)} such lines" if len(wrong) > 1 else path,
        hint="quote fields that contain the separator, complete or remove the line, or name the separator: "
        f"{option('separator', ';')}",
    )


def _parsed(body: str, mark: str, quoted: bool, path: Path) -> pl.DataFrame:
    if '"' in body and not quoted:  # Polars takes a lone quotation mark for one that quotes
        rows = [[cell or None for cell in line.split(mark)] for line in body.split("\n")]
        return pl.DataFrame(
            rows, orient="row", schema={f"column_{i}": pl.String for i in range(len(rows[0]))}
        )
    try:
        return pl.read_csv(
            io.BytesIO(body.encode("utf-8")),
            separator=mark,
            has_header=False,
            quote_char='"' if quoted else None,
            infer_schema=False,
            raise_if_empty=False,
            truncate_ragged_lines=False,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        hint = "the file is damaged, or not in the format that its name says"
        got = str(error).splitlines()[0]
        raise DataError("table", "the file must be readable", got=got, where=path, hint=hint) from error
