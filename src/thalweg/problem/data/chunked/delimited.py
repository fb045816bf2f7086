"""Text tables chunk by chunk: plain ones, of a line with the names and rows of equal numbers of fields.

The beginning is read twice, as a whole table in memory is and as chunks are, and both must give the same
cells. Each chunk is checked: its separators, outside of quotation marks, are as many as its rows need.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.files import open_file
from thalweg.core.lazy import pl
from thalweg.problem.data.chunked.chunks import Chunk, ChunkedTable
from thalweg.problem.data.files.content import decode
from thalweg.problem.data.files.parts import Parts
from thalweg.problem.data.files.tables import ReadTable, TableFormat, text_table

# Bytes of a chunk: enough rows to parse fast, few enough that a buffer mixes several.
CHUNK = 1 << 22
# Of the beginning, from which separator, names and encoding are found.
HEAD = 1 << 18
# A line, with what its quotation marks enclose, has at most this many bytes.
LONGEST = 1 << 24
_QUOTED = re.compile(rb'"[^"]*"')
_BOM = b"\xef\xbb\xbf"


class DelimitedTable(ChunkedTable):
    """Text tables in one encoding, with one separator of a single character.

    Args:
        parts: The files.
        form: What the user says about them.

    Raises:
        DataError: A file is compressed, or no plain table.
    """

    text = True
    _line: tuple[str | None, ...] = ()

    def __init__(self, parts: Parts, form: TableFormat):
        head = _head(parts.paths[0])
        read, self._encoding = self._understood(head, parts.paths[0], form)
        self.separator, self.header = read.separator, read.header
        self.names, self.notes = read.frame.columns, read.notes
        try:
            plain = self._parsed(self._rows_of(head), parts.paths[0], 1).equals(read.frame)
        except DataError:
            plain = False
        if not plain:
            raise _not_plain(parts.paths[0], "lines or cells that are understood from their surroundings")
        chunks: list[Chunk] = []
        for part, path in enumerate(parts.paths):
            chunks += self._index(part, path)
        super().__init__(parts, chunks)

    def _understood(self, head: bytes, path: Path, form: TableFormat) -> tuple[ReadTable, str]:
        read = text_table(head, path, form)
        if len(read.separator) != 1 or not read.separator.isascii() or len(read.frame.columns) < 2:
            raise _not_plain(path, f"cells that are separated by {read.separator!r}")
        _, guessed = decode(head, path, form.encoding)
        encoding = form.encoding or guessed or "utf-8"
        try:
            plain = 'a\n,;\t|"'.encode(encoding) == b'a\n,;\t|"'
        except LookupError:
            plain = False
        if not plain or head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise _not_plain(path, "an encoding other than UTF-8 and its like")
        return read, encoding

    def _rows_of(self, head: bytes) -> bytes:
        """Return the lines under the names."""
        head = head.removeprefix(_BOM)
        return head[head.find(b"\n") + 1 :] if self.header else head

    def _index(self, part: int, path: Path) -> list[Chunk]:
        """Return the chunks of a file, after counting its lines and comparing its names with the first's."""
        chunks, line = [], 1
        with open(open_file(path), "rb") as file:
            at = 0
            start = file.read(HEAD)
            if start.startswith(_BOM):
                at = len(_BOM)
            if self.header:
                end = start.find(b"\n", at) + 1
                own = self._cells(start[at:end], path, 1)
                self._line = self._line or own.row(0)
                if not end or own.row(0) != self._line:
                    rule = "all parts must begin with the same names"
                    got = ", ".join(str(cell) for cell in own.row(0))[:200]
                    raise DataError("table", rule, got=got, where=path, hint="give files of one table")
                at, line = end, 2
            file.seek(at)
            rest = b""
            while True:
                block = file.read(CHUNK)
                whole, rest = _whole_lines(rest + block, path, line, last=not block)
                if whole:
                    rows = self._count(whole, path, line)
                    if rows:
                        chunks.append(Chunk(part, at, at + len(whole), rows, len(whole), line))
                    at, line = at + len(whole), line + whole.count(b"\n")
                if not block:
                    return chunks

    def _count(self, lines: bytes, path: Path, first: int) -> int:
        """Return how many rows there are in lines, after comparing their separators with it.

        Raises:
            DataError: A line has another number of fields, or a quotation mark is not closed.
        """
        plain = _QUOTED.sub(b"", lines) if b'"' in lines else lines
        if b'"' in plain:
            raise _not_plain(path, "a lone quotation mark", first)
        rows = plain.count(b"\n") + (not plain.endswith(b"\n"))
        mark = self.separator.encode()
        if plain.count(mark) == rows * (len(self.names) - 1) and b"\n\n" not in plain:
            return rows
        rows = 0
        for number, each in enumerate(plain.split(b"\n")):
            fields = each.count(mark) + 1 if each.strip(b" \r") else 0
            if fields not in (0, len(self.names)):
                got = f"{fields} in line {first + number}" + (" or later" if plain is not lines else "")
                rule = f"every line must have {len(self.names)} fields, as the first has"
                raise DataError("table", rule, got=got, where=path, hint="complete or remove the line")
            rows += fields > 0
        return rows

    def _read(self, chunk: Chunk, path: Path) -> pl.DataFrame:
        with open(open_file(path), "rb") as file:
            file.seek(chunk.start)
            return self._parsed(file.read(chunk.stop - chunk.start), path, chunk.line)

    def _parsed(self, lines: bytes, path: Path, first: int) -> pl.DataFrame:
        frame = self._cells(lines, path, first)
        if frame.width != len(self.names):
            raise _not_plain(path, f"{frame.width} fields", first)
        frame.columns = self.names
        return frame

    def _cells(self, lines: bytes, path: Path, first: int) -> pl.DataFrame:
        try:
            if self._encoding != "utf-8":
                lines = lines.decode(self._encoding).encode()
            return pl.read_csv(
                io.BytesIO(lines),
                separator=self.separator,
                has_header=False,
                infer_schema=False,
            )
        except (pl.exceptions.PolarsError, UnicodeError) as error:
            got = str(error).splitlines()[0]
            where = f"{path}, line {first} or later"
            raise DataError(
                "table", "the file must be readable", got=got, where=where, hint="correct the line"
            ) from error


def _head(path: Path) -> bytes:
    """Return the whole lines at the beginning of a file."""
    if path.suffix.lower() == ".gz":
        raise _not_plain(path, "a compressed file")
    with open(open_file(path), "rb") as file:
        content = file.read(HEAD)
        more = bool(file.read(1))
    if not content.strip():
        hint = "give another file"
        raise DataError("table", "the file must hold rows", got="an empty file", where=path, hint=hint)
    return _whole_lines(content, path, 1, last=not more)[0]


def _whole_lines(content: bytes, path: Path, line: int, *, last: bool) -> tuple[bytes, bytes]:
    """Return the lines of a content that are whole, and the rest; a line may go on inside quotation marks."""
    if last:
        return content, b""
    marks, end = content.count(b'"'), content.rfind(b"\n")
    while end >= 0:
        if (marks - content.count(b'"', end)) % 2 == 0:
            return content[: end + 1], content[end + 1 :]
        end = content.rfind(b"\n", 0, end)
    if len(content) > LONGEST:
        raise _not_plain(path, "a quotation mark that is not closed, or a very long line", line)
    return b"", content


def _not_plain(path: Path, got: str, line: int | None = None) -> DataError:
    rule = (
        "a text table that is streamed must be plain: one line of names, and rows of equal numbers of fields"
    )
    where = path if line is None else f"{path}, line {line} or later"
    hint = f"convert it to Parquet, or give it memory: {option('stream', False)} and THALWEG_MAX_BYTES=..."
    return DataError("table", rule, got=got, where=where, hint=hint)
