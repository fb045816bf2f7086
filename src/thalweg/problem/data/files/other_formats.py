"""Files that are no text tables although they are given as one: what they are, and how to read them."""

from __future__ import annotations

import re
from pathlib import Path

from thalweg.core.caller import either
from thalweg.core.errors import DataError

_FRAME = "read it with {} and give the frame, or save it as .csv"
_PYTHON = "read it in Python with {} and give the frame, or save it as .csv"

# The first bytes of formats that programs save tables in, what these are, and what reads them.
_SIGNATURES = (
    (b"PK\x03\x04", "a workbook (.xlsx, .ods) or a zip archive", "polars.read_excel"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old form (.xls)", "pandas.read_excel"),
    (b"PAR1", "a Parquet file", "polars.read_parquet"),
    (b"ARROW1", "an Arrow (Feather) file", "polars.read_ipc"),
    (b"SQLite format 3\x00", "an SQLite database", "polars.read_database"),
    (b"\x89HDF\r\n", "an HDF5 file", "pandas.read_hdf"),
    (b"$FL2", "an SPSS file", "pandas.read_spss"),
    (b"$FL3", "an SPSS file", "pandas.read_spss"),
    (b"<stata_dta>", "a Stata file", "pandas.read_stata"),
    (b"HEADER RECORD*******", "a SAS transport file", "pandas.read_sas"),
    (b"%PDF", "a PDF document", ""),
    (b"{\\rtf", "a document (.rtf)", ""),
    (b"\x1f\x8b", "a gzip file, whose name must end in .gz", ""),
    (b"\x93NUMPY", "a NumPy array, whose name must end in .npy", ""),
)
_JSON_LINES = ".jsonl"  # read, where the name says so
_SPARSE = re.compile(r"[-+]?[\d.eE+-]+(?:,[-+\d.]+)*(?:\s+(?:qid:)?\d+:[-+\d.eE]+)+\s*(?:#.*)?")
_TIME = re.compile(r"\d{1,2}:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?")
# The text that formats other than tables begin with, in lower case.
_BEGINNINGS = (
    (r"(?:<\?xml[^>]*>|<!--.*?-->|\s)*<!doctype html|\s*<html", "a web page (HTML)", "pandas.read_html"),
    (r"\s*<\?xml|\s*<[a-z]\w*[\s>][^\n]*\n\s*<[a-z]\w*", "XML", "pandas.read_xml"),
    (r"(?:\s*%[^\n]*\n|\s)*@relation\b", "an ARFF file of Weka", "scipy.io.arff.loadarff"),
    (r"%%matrixmarket", "a sparse matrix (Matrix Market)", "scipy.io.mmread"),
    (r"\s*\{\s*\"[^\n]*\}\s*\n\s*\{", "JSON, an object a line", _JSON_LINES),
    (r"\s*(?:\[\s*[\[{]|\{\s*(?:\"|\n))", "JSON", "polars.read_json"),
    (r"\s*-- (?:mysql|postgresql|sqlite)|\s*(?:create table|insert into) ", "statements in SQL", ""),
)


def refuse_signature(content: bytes, path: Path) -> None:
    """Refuse a file that begins as another format does.

    Raises:
        DataError: It does.
    """
    for beginning, what, reader in _SIGNATURES:
        if content.startswith(beginning):
            raise _refused(what, reader, path)


def refuse_other_text(text: str, path: Path) -> None:
    """Refuse text that is in another format than a table's, or no text.

    Raises:
        DataError: It is.
    """
    start = text[:4000]
    for pattern, what, reader in _BEGINNINGS:
        if re.match(pattern, start.lower(), re.DOTALL):
            raise _refused(what, reader, path)
    lines = [line for line in start.split("\n")[:20] if line.strip()]
    times = all(map(_TIME.fullmatch, re.findall(r"\S+:\S+", start)))
    if lines and not times and all(map(_SPARSE.fullmatch, lines[:-1] or lines)):
        raise _refused("a sparse matrix (svmlight, LIBSVM)", "sklearn.datasets.load_svmlight_file", path)
    odd = sum(char < " " and char not in "\t\n\r\f\v\x1c\x1d\x1e\x1f\x1a" for char in start)
    if odd > 0.01 * len(start):
        raise _refused("a binary file", "", path)


def _refused(what: str, reader: str, path: Path) -> DataError:
    hint = either(_PYTHON.format(reader), _FRAME.format(reader)) if reader else "save the table in it as .csv"
    hint = f"rename it to {path.stem}{_JSON_LINES}" if reader == _JSON_LINES else hint
    return DataError("table", "the file must be a text table or Parquet", got=what, where=path, hint=hint)
