"""Text from data and files as people may safely see it: on a terminal, in HTML, in CSV.

Names of classes and columns, cells, file names and settings come from anywhere. On a terminal a control
character in them can move the cursor, rename the window or paste a command; marks that override the direction
of writing show one name as another; spreadsheets run a cell that begins like a formula. `printable` writes
such characters as escapes, `\\x1b`; it is applied where text leaves the process.
"""

import re

# Control characters except tab and line feed; line and paragraph separators; embeddings, overrides and
# isolates of writing direction (Unicode Standard Annex #9); halves of surrogate pairs.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What spreadsheets take for the start of a formula (OWASP, "CSV Injection"), and numbers, which are none.
_FORMULA = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"\s*[-+]?(\d[\d.,']*|\.\d+)([eE][-+]?\d+)?\s*%?\s*|\s*[-+]?(inf|nan)\s*", re.IGNORECASE)


def printable(text: str) -> str:
    """Return text with an escape for every character that acts on a terminal or on the order of letters.

    Example:
        >>> print(printable("red\\x1b]0;root\\x07"))
        red\\x1b]0;root\\x07
    """
    return _UNSAFE.sub(_escape, text)


def printable_json(text: str) -> str:
    """Return JSON text with JSON's own escapes, so that its values stay what they are."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def cell(text: str) -> str:
    """Return the text of a CSV cell, so that no spreadsheet takes it for a formula and no terminal obeys it.

    Text that begins like a formula gets a `'` in front, which spreadsheets take for "this is text". Numbers,
    also negative ones, stay as they are.
    """
    text = printable(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
