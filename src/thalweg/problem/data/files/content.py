"""The content of a file as bytes or text; `.gz` is decompressed, on request or ahead in threads."""

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.files import NotRegular, TooLong, is_regular, read_file, read_up_to
from thalweg.core.lazy import charset_normalizer, in_background
from thalweg.core.limits import as_bytes, check_memory, max_bytes, too_large

# Bytes of memory for each byte of a content while it is read, about: a text has characters, lines or cells,
# columns or tokens (10 to 31 were measured at the peak, of tables and of prose); arrays are copied to be
# checked, split and scaled (3 to 8).
TEXT_COPIES, ARRAY_COPIES = 16, 4
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE = 100_000  # bytes from which an encoding is guessed
# In Latin text, most words with an accent have ASCII letters too. Cyrillic and Greek words have none, and
# East Asian text that is read as Windows-1252 is full of signs.
_LATIN, _ODD = 0.5, 0.1
_BEGIN = 0.3
_LATIN_SIGNS = "\u00a0€£¥°§²³±×“”„‘’–—…«»·¼½¾ªº©®†‡•‰™"
# The most frequent letters of Russian and Greek make up three quarters of a text.
_RUSSIAN, _GREEK = ("оеаинтсрвлкмдпя", "ъэщфцхшю"), ("αοιετσνηυρςκπμάόίέή", "ξζψΐϊΰϋ")
_ALPHABETS = (("cp1251", *_RUSSIAN), ("koi8_r", *_RUSSIAN), ("cp1253", *_GREEK))
_OFTEN = 0.5
_EAST_ASIAN = ("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr")
_GZIP = 31  # zlib's `wbits` for the largest window in a gzip wrapper
_PIECE = 1 << 18  # bytes that are decompressed at a time

_AHEAD: dict[Path, Future[bytes]] = {}


def read_bytes(path: Path, copies: int = 1) -> bytes:
    """Return the content of a file.

    Args:
        path: The file; `.gz` is decompressed.
        copies: Bytes of memory that its reader needs for each byte: `TEXT_COPIES`, `ARRAY_COPIES`.

    Raises:
        DataError: The file cannot be read, or is no regular file; it is not a complete gzip file although its
            name ends in `.gz`; or its content takes more memory than `core.limits` allows.
    """
    ahead = _AHEAD.pop(path, None)
    content = _content(path, copies) if ahead is None else ahead.result()
    check_memory(DataError, "file", len(content), path, copies=copies)
    return content


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file, .gz or not, with every line ending as \\n.

    Args:
        path: The file.
        encoding: Its encoding; None for UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: The file cannot be read, or has another encoding.
    """
    content = read_bytes(path, TEXT_COPIES)
    text, guessed = decode(content, path, encoding)
    if guessed:
        wrong = content.decode("utf-8", errors="surrogateescape")
        at = next(i for i, char in enumerate(wrong) if "\ud800" <= char <= "\udfff")
        got = f"byte 0x{ord(wrong[at]) & 0xFF:02x} at {len(wrong[:at].encode())}"
        hint = f"it may be {guessed}: {option('encoding', guessed)}"
        raise DataError("text", "the file must be UTF-8", got=got, where=path, hint=hint)
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def decode(content: bytes, path: Path, encoding: str | None = None) -> tuple[str, str]:
    """Return a text file's text, and the name of its encoding if that was guessed, else an empty name.

    Byte order marks are believed; without one, UTF-16 is recognised by its zero bytes. What is not UTF-8
    either is read as Windows-1252 where most of its letters are Latin; otherwise charset-normalizer decides.

    Args:
        content: The bytes.
        path: For messages.
        encoding: A name that Python knows; None: found.

    Raises:
        DataError: The encoding is unknown, or the file is not written in it.
    """
    if encoding is None:
        marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
        encoding = marked or _utf16(content[:_SAMPLE])
    if encoding is not None:
        return _decoded(content, path, encoding), ""
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError:
        guessed = _legacy_encoding(content[:_SAMPLE])
        return content.decode(guessed, errors="replace"), guessed


def _decoded(content: bytes, path: Path, encoding: str) -> str:
    hint = f"for example {option('encoding', 'cp1252')}, or leave it out"
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise DataError("file", "the encoding must be known", got=encoding, hint=hint) from error
    except UnicodeError as error:
        rule = f"the file must be written in {encoding}"
        raise DataError("file", rule, got=str(error), where=path, hint=hint) from error


def _utf16(sample: bytes) -> str | None:
    """Return the UTF-16 of a text without a byte order mark: every second byte of Latin text is zero."""
    first, second = sample[0::2], sample[1::2]
    for name, zeros, others in (("utf-16-le", second, first), ("utf-16-be", first, second)):
        if zeros and zeros.count(0) > len(zeros) / 3 and others.count(0) == 0:
            return name
    return None


def _legacy_encoding(sample: bytes) -> str:
    text = sample.decode("cp1252", errors="replace")
    words = set(re.findall(r"[^\W\d_]{2,}", text))
    foreign = [word for word in words if not word.isascii()]
    mixed = sum(any(letter.isascii() for letter in word) for word in foreign)
    if _is_shift_jis(sample):
        return "shift_jis"
    if re.search(r"ˆ\s?\d|\d\s?ˆ", text):  # the sign of the euro in Windows-1251
        return "cp1251"
    odd = sum(ord(char) > 127 and not char.isalpha() and char not in _LATIN_SIGNS for char in text)
    if mixed >= _LATIN * len(foreign) and odd <= _ODD * sum(ord(char) > 127 for char in text):
        return "cp1252"
    by_letters = {name: _frequent_letters(sample, name, *letters) for name, *letters in _ALPHABETS}
    likely = max(by_letters, key=by_letters.__getitem__)
    if by_letters[likely] >= _OFTEN and mixed < _LATIN * len(foreign):
        return likely
    best = charset_normalizer.from_bytes(sample, cp_isolation=list(_EAST_ASIAN)).best()
    if best is None or re.search(r"[a-zA-Z][^\W\d_a-zA-Z]|[^\W\d_a-zA-Z][a-zA-Z]", str(best)):
        return "cp1252"  # no other script has Latin letters inside its words
    return best.encoding


def _is_shift_jis(sample: bytes) -> bool:
    """Return whether a sample is Japanese: half of its bytes beyond ASCII begin letters of 0x81 to 0x9f.

    Windows-1252 has only rare signs there.
    """
    beyond = re.findall(rb"[\x81-\xff]", sample)
    begin = sum(b"\x81" <= byte <= b"\x9f" for byte in beyond)
    if begin < _BEGIN * len(beyond) or not beyond:
        return False
    try:
        sample.decode("shift_jis")
    except UnicodeDecodeError as error:
        return error.end >= len(sample) - 1  # the sample ends inside a letter
    return True


def _frequent_letters(sample: bytes, encoding: str, letters: str, rare: str) -> float:
    """Return the share of a language's most frequent letters less that of its rarest, beyond ASCII."""
    words = set(re.findall(r"[^\x00-\x7f]+", sample.decode(encoding, errors="replace")))
    # KOI8-R has small letters where Windows-1251 has capitals; a capital inside a word says it is the other.
    odd = {word for word in words if re.search(r"[а-яё][А-ЯЁ]", word)}
    found, against = "".join(words - odd).lower(), sum(map(len, odd))
    common = sum((char in letters) - (char in rare) for char in found)
    return (common - against) / max(len(found) + against, 1)


def decompress_ahead(paths: Iterable[Path]) -> None:
    """Start to decompress files, each in its own thread; `read_bytes` waits for the result.

    Decompression releases the interpreter lock, so it costs nothing next to work such as importing. The
    process does not wait for these threads when it ends. Only regular files are opened: reading a pipe would
    empty it.
    """
    for path in paths:
        if path.suffix.lower() == ".gz" and is_regular(path):
            _AHEAD[path] = in_background(partial(_content, path, ARRAY_COPIES))


def discard_ahead() -> None:
    """Drop what was decompressed ahead and not read."""
    _AHEAD.clear()


def plain_suffix(path: Path) -> str:
    """Return the suffix that names the format, without `.gz`, in lower case: `.csv` for `x.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _content(path: Path, copies: int) -> bytes:
    most = max_bytes()
    try:
        content = read_file(path, most // copies)
        return _gunzip(content, most // copies) if path.suffix.lower() == ".gz" else content
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        rule = "must be a whole gzip file, as its name says"
        hint = "the file is damaged or truncated; fetch it again"
        raise DataError("file", rule, got=str(error), where=path, hint=hint) from error
    except _Longer as error:
        got = f"more than {as_bytes(most // copies)} when unpacked, of which each takes {copies}"
        raise too_large(DataError, "file", got, most, path) from error
    except TooLong as error:
        raise too_large(DataError, "file", str(error.strerror), most, path) from error
    except OSError as error:
        rule, hint = "must be readable", "check its owner and permissions"
        if isinstance(error, NotRegular):
            hint = "give a regular file; what comes through a pipe can be saved to one first"
        raise DataError("file", rule, got=error.strerror or str(error), where=path, hint=hint) from error


def _gunzip(content: bytes, most: int) -> bytes:
    """Decompress at most so many bytes, piece by piece: a byte may expand to 1032 (RFC 1951).

    Almost all files have one member, which zlib reads on its own without the interpreter lock. Files of
    several, or with trailing bytes, are left to Python's gzip, as are its errors, which are more specific.
    """
    member, plain, view, start = zlib.decompressobj(_GZIP), io.BytesIO(), memoryview(content), 0
    try:
        for start in range(0, len(content), _PIECE):
            plain.write(member.decompress(view[start : start + _PIECE], most + 1 - plain.tell()))
            if plain.tell() > most:
                raise _Longer
            if member.eof:
                break
    except zlib.error:
        return _gunzip_slowly(content, most)
    whole = member.eof and not member.unused_data and start + _PIECE >= len(content)
    return plain.getvalue() if whole else _gunzip_slowly(content, most)


def _gunzip_slowly(content: bytes, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        plain = read_up_to(file, most)
    if plain is None:
        raise _Longer
    return plain


class _Longer(Exception):
    """A file unpacks to more than it may."""


def exceeds_memory(paths: Sequence[Path], suffix: str) -> bool:
    """Return whether tables in plain files would take more memory than they may, by the files' sizes."""
    if any(path.suffix.lower() == ".gz" or not is_regular(path) for path in paths):
        return False
    copies = ARRAY_COPIES if suffix == ".parquet" else TEXT_COPIES
    # What Parquet holds is larger when unpacked, which its reader would say; the file's own size is enough to
    # tell a large one from a small one.
    return copies * sum(path.stat().st_size for path in paths) > max_bytes()
