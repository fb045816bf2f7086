"""Bytes of a file, unpacked where its name ends in `.gz`."""

import gzip
import zlib
from pathlib import Path

from thalweg.core.errors import DataError


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: The file cannot be read, or is no whole gzip file although its name ends in `.gz`.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            "file",
            "must be a whole gzip file, as its name says",
            got=str(error),
            where=path,
            hint="the file is damaged or cut short; fetch it again",
        ) from error
    except OSError as error:
        raise DataError(
            "file",
            "must be readable",
            got=error.strerror or str(error),
            where=path,
            hint="check its owner and permissions",
        ) from error


def plain_suffix(path: Path) -> str:
    """Return the ending that says the form, without `.gz`, in small letters: `.csv` for `x.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
