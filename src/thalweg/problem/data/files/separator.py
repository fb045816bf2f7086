"""The separator of a text table: the one that divides most lines into the same number of fields."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

# A run of spaces or tabs as one separator.
SPACES = "space"
# At least two of them, or a tab, where cells hold single ones.
WIDE = "spaces"
# Of two separators that divide the lines equally well, the earlier one is taken.
SEPARATORS = ("\t", ";", "|", "::", "||", ",", "^", "~")
# Marks that separate only where nothing else does, and the first line is divided into words by them.
RARE = (":", "\\t", "&")
SPELLINGS = {"tab": "\t", "\\t": "\t", " ": SPACES, "  ": WIDE, "comma": ",", "semicolon": ";"}
SHOWN = {"\t": "tab", SPACES: "runs of spaces", WIDE: "two or more spaces"}
QUOTED = re.compile(r'"(?:[^"]|"")*"')
# A comma inside a number, as decimal mark or between groups of digits: evidence that it does not separate.
_DECIMAL_COMMA = re.compile(r"[-+\u2212]?\d+,\d+")
_COMMA_NUMBER = re.compile(
    r"[^\w,]{0,3}(?:(?:\d{1,3}(?:[.'\u2019]\d{3})+|\d*),\d+(?:[eE][-+]?\d+)?"
    r"|\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d*)?|\d+,(?=[-\u2013\u2014]))[^\d,]{0,8}"  # 103,- is a price, too
)
_PAIR = re.compile(r"[-+]?\d*\.?\d+(?: [-+]?\d*\.?\d+)+")
_NUMBERS = re.compile(r"[\d\s.,;|eE+-]+")
_OPENING = re.compile(r'(?m)(?:^|[,;\t|^~: ])[ ]*"')
_POWER = re.compile(r"(?<=10)\^(?=[-+\u2212]?\d)")  # of ten: its mark separates nothing
_SAMPLE = 500  # lines from which the separator is found
_WIDE = 200  # characters a line, at most, of these
# A separator must divide this share of the sampled lines equally.
AGREEMENT = 0.7
COMMENT = re.compile(r"\s*(?:#(?![A-Z]+[/!?])|%|//|!)")  # not Excel's #N/A


def divided_equally(text: str) -> bool:
    """Return whether nearly all lines of a text have the same number of fields, at least two.

    Runs of spaces count as separators only where there are numbers: prose has them too.
    """
    lines = _sample(text)
    if len(lines) < 3:
        return False
    plain = [line for line in text[: _WIDE * _SAMPLE].split("\n")[:_SAMPLE] if line.strip()]
    # Marks of inches are no quotation marks: the lines may agree as they are.
    if any(_agreement(some, mark)[0] >= 0.95 for some in (lines, plain) for mark in SEPARATORS):
        return True
    numbers = sum(
        any(word[-1].isdigit() for word in line.split()) or line.split().count("q") > 1 for line in lines
    )
    digits = sum(any(map(str.isdigit, line)) for line in lines)
    quoted = sum(line[0] == "q" and {"q"} <= set(line.split()) <= {"q", "NA"} for line in lines)
    if quoted >= 0.95 * len(lines):  # quoted cells and nothing else
        return True
    aligned = _agreement(lines, WIDE)[0] >= 0.95 and digits >= 0.9 * (len(lines) - 1)
    return aligned or (_agreement(lines, SPACES)[0] >= 0.95 and numbers >= 0.9 * len(lines))


def _sample(text: str) -> list[str]:
    """Return the first lines that are neither blank nor comments, with a letter in place of quoted fields."""
    start = text[: _WIDE * _SAMPLE]
    complete = start if len(start) == len(text) or "\n" not in start else start[: start.rindex("\n")]
    # No mark begins a cell: they are inches.
    plain = complete if not _OPENING.search(complete) else QUOTED.sub("q", complete)
    plain = _POWER.sub("e", plain)
    lines = [line for line in plain.split("\n") if line.strip()]
    remarks = sum(bool(COMMENT.match(line)) for line in lines)
    if remarks < len(lines) / 2:
        lines = [line for line in lines if not COMMENT.match(line)]
    return lines[:_SAMPLE]


def _agreement(lines: Sequence[str], separator: str) -> tuple[float, int]:
    """Return the share of lines that have the most frequent number of fields, and that number.

    The lines before the first and after the last of these do not count: they may be titles and remarks.
    """
    split = [len(_fields(line, separator)) for line in lines]
    counts = Counter(fields for fields in split if fields > 1)
    if not counts:
        return 0.0, 1
    fields, agreeing = counts.most_common(1)[0]
    first, last = split.index(fields), len(split) - split[::-1].index(fields)
    if (agreeing < 2 and len(lines) > 2) or agreeing < len(lines) / 3:
        return 0.0, 1
    return agreeing / (last - first), fields


def _fields(line: str, separator: str) -> list[str]:
    if separator == WIDE:
        return re.split(r"\t| {2,}", line.strip())
    if separator == SPACES:  # a space that does not break belongs to its number
        return re.split(r"[ \t]+", line.strip(" \t"))
    return line.split(separator)


def find_separator(text: str) -> tuple[str, bool]:
    """Return the separator, and whether it alone divides all lines equally."""
    lines = _sample(text)
    scores = {mark: _agreement(lines, mark) for mark in (*SEPARATORS, WIDE, SPACES)}
    if _is_prose(lines):
        del scores[SPACES], scores[WIDE]
    elif scores[WIDE][0] >= scores[SPACES][0] - 0.02 and not _holds_pairs(lines, scores[SPACES][0]):
        del scores[SPACES]
    else:
        del scores[WIDE]
    best = max((share for share, _ in scores.values()), default=0.0)
    if best == 0 and (rare := next((mark for mark in RARE if _divides(lines, mark)), None)):
        return rare, False
    if best < AGREEMENT:  # the table's lines do not agree: what the first one has most of
        return max((",", ";", "\t", "|"), key=(lines or [""])[0].count), best == 0
    equal = [mark for mark, (share, _) in scores.items() if share > best - 0.05]
    if equal[-1] in (SPACES, WIDE) and len(equal) > 1:
        if equal[:-1] == [","] and (_in_numbers(lines) or _are_aligned(lines, equal[-1])):
            return equal[-1], _in_numbers(lines)
        del equal[-1]  # spaces inside cells
    every = [mark for mark in equal if len({len(_fields(line, mark)) for line in lines}) == 1]
    equal = every or equal  # one that leaves no line aside, such as the one with the names
    equal = [mark for mark in equal if not _is_part(mark, equal, scores)]
    first = equal[0]
    if equal == [","] and "," not in lines[0] and all(map(_COMMA_NUMBER.fullmatch, lines[1:])):
        return ";", False  # a name above numbers with decimal commas
    if "," in equal and len(equal) > 1:
        other = next(mark for mark in equal if mark != ",")
        cells = [cell.strip() for line in lines for cell in _fields(line, other)]
        held = [cell for cell in cells if "," in cell]
        decimal = any(map(_DECIMAL_COMMA.fullmatch, cells)) or all(map(_COMMA_NUMBER.fullmatch, held))
        return (other if decimal or scores[","][1] <= scores[other][1] else ","), decimal
    return first, best == 1


def _is_part(mark: str, equal: Sequence[str], scores: dict[str, tuple[float, int]]) -> bool:
    """Return whether a mark is half of another that stands everywhere, or two of one beside an empty cell."""
    for other in equal:
        if mark in other and mark != other and scores[mark][1] == 2 * scores[other][1] - 1:
            return True
        if other in mark and mark != other and scores[other][1] != 2 * scores[mark][1] - 1:
            return True
    return False


def _divides(lines: Sequence[str], mark: str) -> bool:
    """Return whether a rare mark divides all lines into as many fields as it does words in the first line."""
    names = lines[0].split(mark) if lines else []
    alike = all(line.count(mark) == len(names) - 1 for line in lines)
    return (
        len(names) > 1
        and len(lines) > 2
        and alike
        and all(re.fullmatch(r"\s*[^\W\d][\w .]*", n) for n in names)
    )


def _holds_pairs(lines: Sequence[str], agreement: float) -> bool:
    """Return whether two spaces leave pairs of numbers together that single ones divide as well.

    Groups of digits, as in `1 234`, are one number.
    """
    pairs = [cell for line in lines for cell in _fields(line, WIDE) if _PAIR.fullmatch(cell)]
    grouped = all(re.fullmatch(r"-?\d{1,3}(?: \d{3})+(?:[.,]\d+)?", cell) for cell in pairs)
    return agreement >= 0.9 and len(pairs) >= len(lines) / 2 and not grouped


def _is_prose(lines: Sequence[str]) -> bool:
    """Return whether lines are words with single spaces between them: no spaces set columns apart."""
    quoted = sum(line.split().count("q") > 1 for line in lines)
    numbers = quoted + sum(bool(_NUMBERS.fullmatch(line)) for line in lines)
    aligned = sum("  " in line.strip() for line in lines)
    digits = sum(any(word[-1].isdigit() for word in line.split()) for line in lines)
    return numbers + aligned < len(lines) / 2 and digits < AGREEMENT * len(lines)


def _in_numbers(lines: Sequence[str]) -> bool:
    """Return whether the commas of lines stand inside numbers that spaces set apart."""
    words = [word for line in lines for word in _fields(line, SPACES) if "," in word]
    names = [word for word in lines[0].split() if "," in word] if lines else []
    inside = [bool(_COMMA_NUMBER.fullmatch(word)) for word in words]
    padded = all(word.startswith(",") for word in words)  # cells filled up with spaces before their commas
    return sum(inside) > 0.9 * len(words) > 0 and all(map(_COMMA_NUMBER.fullmatch, names)) and not padded


def _are_aligned(lines: Sequence[str], spaces: str) -> bool:
    """Return whether spaces set columns below each other in all lines, of which the first has no comma."""
    if "," in lines[0] or not any("  " in line.strip() for line in lines):
        return False
    word = re.compile(r"\S+(?: \S+)*" if spaces == WIDE else r"\S+")
    spans = [[match.span() for match in word.finditer(line)] for line in lines]
    if len({len(found) for found in spans}) > 1:
        return False
    return all(
        max(Counter(span[side] for span in column).most_common(1)[0][1] for side in (0, 1)) > 0.9 * len(lines)
        for column in zip(*spans, strict=True)
    )
