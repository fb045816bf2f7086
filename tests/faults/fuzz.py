"""Fuzzing of readers: random bytes, sound files with changed bytes, headers with impossible claims.

For any input a reader returns a value or raises one of Thalweg's errors, quickly and in little memory, and
opens nothing outside its folder. The limits hold for the whole process while this runs. The readers of run
folders are in `records`.
"""

import gzip
import io
import json
import os
import resource
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st
from PIL import Image

from tests.faults.records import record_readers
from tests.faults.tally import Line
from tests.faults.victim import arrays_of, scratch, write_runs
from thalweg.core.documents import parse_json, parse_toml
from thalweg.core.errors import ThalwegError
from thalweg.problem.data.load import load
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.checkpoint.safetensors_io import decode, describe_arrays
from thalweg.run.checkpoint.store import ARRAYS, MANIFEST, Manifest
from thalweg.run.folder import log_stream
from thalweg.run.folder.filesystem import seal
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.lock import holder
from thalweg.run.folder.log_stream import TABLES

QUICK, FULL = 150, 3000
# Of processor time, and of time on the clock for one that waits; address space, most of it never used.
SECONDS, PATIENCE, BYTES = 5, 60, 3 << 30
# What a file may take in memory (THALWEG_MAX_BYTES). At its peak a process takes at most twice as much.
MOST_BYTES = 256 << 20
# Readers that use whole libraries, or draw whole pages, are tried a tenth as often.
SLOW = (
    *(f"record: {name}" for name in ("result.json", "problem.json", "environment.json", "recipe.toml")),
    *(f"record: {name}.parquet" for name in ("steps", "evaluations", "layers", "test")),
    *("sweep.json", "finding.json", "origin of a run", "prediction"),
)
PICTURES = ("png", "jpg", "gif", "bmp", "tif", "webp")
BAIT = ("/bait", "/etc/passwd")
PROMISE = "a value or a Thalweg error: no crash, no hang, no memory blow-up, no path outside"


class Reader(NamedTuple):
    """A reader and a sound file for it.

    Args:
        name: Name in the tally.
        sound: The content of a sound file.
        read: Called with content and a folder, to read it from there.
        more: Further content to try.
        mend: Makes content that comes further from what a fuzzer makes, such as a valid checksum.
    """

    name: str
    sound: bytes
    read: Callable[[bytes, Path], Any]
    more: st.SearchStrategy[bytes] = st.nothing()
    mend: Callable[[bytes], bytes] = bytes


def fuzzed_readers(full: bool) -> Iterator[Line]:
    """Fuzz every reader."""
    with limits(), scratch(fast=True) as place:
        for reader in readers():
            times = FULL if full else QUICK
            yield _fuzzed(reader, times // 10 if reader.name in SLOW else times, Path(place))


def _fuzzed(reader: Reader, times: int, place: Path) -> Line:
    line, before = Line(f"fuzzing: {reader.name}", PROMISE), peak_bytes()
    reader.read(reader.sound, place)  # otherwise refusing all content would pass

    @hypothesis.settings(
        max_examples=times,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
        report_multiple_bugs=False,
    )
    @hypothesis.given(st.one_of(mutated(reader.sound), st.binary(max_size=300), reader.more))
    def once(content: bytes) -> None:
        line.add(wrong_with(reader, content, place, line))

    once()
    return with_peak(line, before)


def wrong_with(reader: Reader, content: bytes, place: Path, line: Line) -> str | None:
    """Read a content; return what is wrong with the outcome, and count whether it was read or refused."""
    signal.alarm(PATIENCE)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with _no_path_outside(place):
            reader.read(content, place)
        line.count("read")
    except ThalwegError:
        line.count("refused")
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]} for {content[:60]!r}"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def peak_bytes() -> int:
    """Return the most memory that the process has taken so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def with_peak(line: Line, before: int) -> Line:
    """Return a line with the memory that was taken since; more than twice the limit breaks the promise."""
    taken = peak_bytes() - before
    line.count("MB at the peak", taken >> 20)
    if taken > 2 * MOST_BYTES:
        line.broken += 1
        line.seen.append(f"{taken >> 20} MB, more than twice the limit of {MOST_BYTES >> 20} MB")
    return line


@contextmanager
def limits() -> Iterator[None]:
    """Limit the memory of the process and the time of a reader."""

    def timed_out(number: int, frame: object) -> None:
        raise TimeoutError(f"longer than {SECONDS} s, or waits")

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, timed_out)
    profiler = signal.signal(signal.SIGPROF, timed_out)
    os.environ["THALWEG_MAX_BYTES"] = str(MOST_BYTES)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform.startswith("linux") else 0
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)
        signal.signal(signal.SIGPROF, profiler)
        del os.environ["THALWEG_MAX_BYTES"]


class _Watch:
    """Audits every file that is opened while `place` is set; refuses what no reader should open.

    The audit does not say to which folder's handle a name is relative, so `os.open` tells it.
    """

    def __init__(self) -> None:
        self.place: Path | None = None
        self._folder, self._open = "", os.open
        os.open = self._opened  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _opened(self, path: Any, *args: Any, dir_fd: int | None = None, **more: Any) -> int:
        self._folder = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        try:
            return self._open(path, *args, dir_fd=dir_fd, **more)
        finally:
            self._folder = ""

    def _audit(self, event: str, args: tuple) -> None:
        if event != "open" or self.place is None or not isinstance(args[0], (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.path.join(self._folder, os.fsdecode(args[0])))
        inside = path.startswith(str(self.place))
        writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not inside and (writes or path.endswith(BAIT)):
            self.place = None
            raise AssertionError(f"opens {path}")


_WATCH: list[_Watch] = []


@contextmanager
def _no_path_outside(place: Path) -> Iterator[None]:
    if not _WATCH:
        _WATCH.append(_Watch())
    _WATCH[0].place = place
    try:
        yield
    finally:
        _WATCH[0].place = None


@st.composite
def mutated(draw: st.DrawFn, sound: bytes) -> bytes:
    """Change the content of a sound file in a few places."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "overwrite", "remove", "repeat"]))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(_PIECES)
        elif kind == "overwrite":
            piece = draw(_PIECES)
            content[at : at + len(piece)] = piece
        elif kind == "remove":
            del content[at : at + draw(st.integers(1, 40))]
        else:
            content[at:at] = content[at : at + 40] * draw(st.integers(1, 4))
    return bytes(content)


_PIECES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [
            *(b"\xff" * 8, b"\x00" * 8, b"\x7f" + b"\xff" * 7, b"\xef\xbb\xbf", b"\r\n"),
            *(b"NaN", b"1e999", b"-1", b"9" * 40, b"null", b"true", b'"\\ud800"'),
            *(b"[" * 60, b'{"', b",,,,", b"'", b'"', b"../../bait", b"/etc/passwd"),
        ]
    ),
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_COUNTS = st.sampled_from([0, 1, 2, 8, 10**6, 10**15, 2**31, 2**61, 2**62, 2**63, 2**64, -1, 10**30])


@st.composite
def _entries(draw: st.DrawFn) -> dict[str, Any]:
    """Make arbitrary entries of a header or a manifest."""
    dtypes = st.sampled_from(["F32", "BOOL", "I64", "BF16", "F8", "", "__class__"])
    names = st.text(max_size=6) | st.sampled_from(["params.weight", "key", "empty"])
    shapes = st.lists(_COUNTS, max_size=4)
    return draw(st.dictionaries(names, st.fixed_dictionaries({"dtype": dtypes, "shape": shapes}), max_size=3))


@st.composite
def _headers(draw: st.DrawFn) -> bytes:
    """Make a safetensors file with a complete header of arbitrary entries."""
    offsets = st.lists(_COUNTS, min_size=2, max_size=2)
    header = {name: entry | {"data_offsets": draw(offsets)} for name, entry in draw(_entries()).items()}
    text = json.dumps(header).encode()
    length = draw(st.sampled_from([len(text), 0, 10**15, 2**63, 2**64 - 1, len(text) + 1]))
    return length.to_bytes(8, "little") + text + draw(st.binary(max_size=64))


@st.composite
def _sealed(draw: st.DrawFn, sound: bytes) -> bytes:
    """Make JSON with a valid checksum and arbitrary entries."""
    value = json.loads(sound)
    value.pop("sha256")
    for name in draw(st.lists(st.sampled_from([*value, "more"]), min_size=1, max_size=3)):
        value[name] = draw(
            _JSON
            | _entries()
            | st.sampled_from([{"../../bait": {"bytes": 1, "sha256": ""}}, {"arrays.safetensors": None}])
        )
    return seal(value)


def resealed(content: bytes) -> bytes:
    """Return JSON with a valid checksum, to reach the checks behind it; other content unchanged."""
    try:
        value = json.loads(content)
        value.pop("sha256", None)
        return seal(value)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return content


def readers() -> Iterator[Reader]:
    """Yield every reader with a sound file for it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_runs(folder, 3, 1, lambda step: None)
        checkpoint = folder / "checkpoints" / "step-0000000003"
        manifest, arrays = (checkpoint / MANIFEST).read_bytes(), (checkpoint / ARRAYS).read_bytes()
        run_file = (folder / "run.json").read_bytes()
    yield Reader("manifest", manifest, _manifest(arrays), _sealed(manifest), resealed)
    yield Reader("run.json", run_file, in_file("run.json", _checks), _sealed(run_file), resealed)
    description = describe_arrays(arrays_of(3))
    yield Reader("safetensors header", arrays, lambda data, at: decode(data, description, at), _headers())
    yield Reader("lock file", b'{"pid": 1, "started": 2}', in_file(".lock", lambda path: holder(path.parent)))
    yield Reader("recipe TOML", toml.write(Recipe()).encode(), in_file("recipe.toml", toml.read), _settings())
    yield Reader("log", _log(), lambda content, at: log_stream.batches(content, TABLES["evaluations"]))
    yield Reader("JSON", run_file, lambda content, at: _safely(parse_json, content))
    yield Reader("TOML", toml.write(Recipe()).encode(), lambda content, at: _safely(parse_toml, content))
    yield from record_readers()
    yield from _data_readers()


def _safely(parse: Callable[[bytes], Any], content: bytes) -> Any:
    """Parse; the parsers' own promise is a ValueError, which their callers turn into errors of Thalweg."""
    try:
        return parse(content)
    except ValueError as error:
        raise ThalwegError("parser", str(error), hint="none") from error


def _manifest(arrays: bytes) -> Callable[[bytes, Path], Any]:
    """Read a manifest, and the arrays that it describes."""
    return lambda content, at: decode(arrays, Manifest.read(content, at).arrays, at)


def _checks(path: Path) -> Any:
    return RunFile.read(path.parent).check_all(path.parent)


def in_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def put(content: bytes, place: Path) -> Any:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return read(path)

    return put


def _settings() -> st.SearchStrategy[bytes]:
    names = st.sampled_from(
        ["batch_size", "epochs", "seed", "clip_norm", "optimizer", "schedule", "shuffle", "x"]
    )
    values = st.sampled_from(
        ["1", "-1", "1e308", "nan", "inf", "true", "[]", "{}", "'x'", "9" * 30, "1979-05-27"]
    )
    lines = st.lists(st.tuples(names, values), min_size=1, max_size=4)
    return lines.map(lambda pairs: "".join(f"{name} = {value}\n" for name, value in pairs).encode())


def _log() -> bytes:
    schema = TABLES["evaluations"]
    names = {"lane": 0, "step": 1, "epoch": 0.5, "part": "test", "loss": 0.1, "metric": 1.0, "seconds": 2.0}
    batch = pa.RecordBatch.from_pylist([names] * 3, schema=schema)
    return schema.serialize().to_pybytes() + batch.serialize().to_pybytes() * 3


def _data_readers() -> Iterator[Reader]:
    rng = np.random.default_rng(0)
    table = "a,b,c,label\n" + "".join(
        f"{x:.3f},{n},w{n % 3},{'xy'[n % 2]}\n" for n, x in enumerate(rng.random(40))
    )
    frame = pl.read_csv(table.encode())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        frame.write_parquet(folder / "t.parquet")
        np.save(folder / "t.npy", rng.random((40, 4)).astype(np.float32))
        np.savez(folder / "t.npz", x=rng.random((40, 4)), y=np.arange(40) % 2)
        picture = Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8))
        for kind in PICTURES:
            picture.save(folder / f"t.{kind}")
        files = {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}
    yield Reader("data: CSV", table.encode(), in_file("t.csv", _labelled))
    yield Reader("data: Parquet", files["parquet"], in_file("t.parquet", _labelled))
    yield Reader("data: npy", files["npy"], in_file("t.npy", lambda path: load(path, target=3)))
    yield Reader("data: npz", files["npz"], in_file("t.npz", load))
    yield Reader("data: text", b"the quick brown fox jumps over it. " * 40, in_file("t.txt", load))
    images = np.concatenate([[0, 0, 8, 3], _big(20), _big(4), _big(4), rng.integers(0, 255, 320)]).astype(
        np.uint8
    )
    labels = np.concatenate([[0, 0, 8, 1], _big(20), np.arange(20) % 2]).astype(np.uint8)
    yield Reader("data: idx", images.tobytes(), _idx(labels.tobytes()))
    packed = gzip.compress(images.tobytes(), mtime=0)
    yield Reader("data: idx.gz", packed, _idx(labels.tobytes(), ".gz"), mend=_packed)
    yield Reader(
        "data: CSV.gz", gzip.compress(table.encode(), mtime=0), in_file("t.csv.gz", _labelled), mend=_packed
    )
    yield Reader(
        "data: lines", b"red\ngreen\nblue\n" * 20, in_file("t.txt", lambda path: load(path, lines=True))
    )
    dated = "day,x,label\n" + "".join(
        f"2024-{n // 28 + 1:02d}-{n % 28 + 1:02d},{n},{n % 5}\n" for n in range(84)
    )
    yield Reader("data: series", dated.encode(), in_file("t.csv", _series))
    for kind in PICTURES:
        yield Reader(f"data: {kind}", files[kind], _pictures(files[kind], kind))
    yield Reader("data: tar", _archive(files["png"]), in_file("t.tar", lambda path: load(path, stream=True)))


def _archive(picture: bytes) -> bytes:
    """Return a tar archive of the same picture in two classes, and of labels for some."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for number in range(12):
            for name, content in ((f"{number}.png", picture), (f"{number}.cls", b"ab"[number % 2 :][:1])):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def _packed(content: bytes) -> bytes:
    """Compress content that is not, so that what is inside is damaged too."""
    return content if content[:2] == b"\x1f\x8b" else gzip.compress(content, 1, mtime=0)


def _series(path: Path) -> Any:
    return load(path, target="label", window=3)


def _labelled(path: Path) -> Any:
    return load(path, target="label")


def _big(number: int) -> list[int]:
    return list(number.to_bytes(4, "big"))


def _idx(labels: bytes, suffix: str = "") -> Callable[[bytes, Path], Any]:
    def read(content: bytes, place: Path) -> Any:
        folder = place / f"idx{suffix}"
        folder.mkdir(exist_ok=True)
        for split in ("train", "t10k"):
            (folder / f"{split}-images-idx3-ubyte{suffix}").write_bytes(content)
            (folder / f"{split}-labels-idx1-ubyte").write_bytes(labels)
        return load(str(folder))

    return read


def _pictures(sound: bytes, kind: str) -> Callable[[bytes, Path], Any]:
    def read(content: bytes, place: Path) -> Any:
        for number in range(12):
            folder = place / kind / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.{kind}").write_bytes(content if number == 3 else sound)
        return load(str(place / kind))

    return read
