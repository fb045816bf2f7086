"""Damage to a folder: every byte of every file of the store, and files that are not what they seem."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.tally import Line
from tests.faults.victim import RUN, different, scratch, write_runs
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import Checkpoint, Damaged, Retention, Store
from thalweg.run.folder.folder import RunFile
from thalweg.run.verify import inspect

STEPS = (3, 4, 5)
PROMISE = "detected; the newest sound checkpoint is used and the damaged one named"
EVERY_QUICK = 7  # every so many bytes; all of them in full
Harm = tuple[str, Callable[[], None]]


def damaged_files(full: bool) -> Iterator[Line]:
    """Damage one file of the newest checkpoint or run.json at a time, and read the folder."""
    with scratch(fast=True) as place:
        run, other = Path(place) / "run", Path(place) / "other"
        _made(run, other)
        flips, rest = Line("one bit flipped, at every byte of every file", PROMISE), {}
        for file in _files(run):
            content = file.read_bytes()
            for label, harm in _flips(file, content, 1 if full else EVERY_QUICK):
                flips.add(_judged(run, file, label, harm, content))
            flips.count(f"bytes of {file.name}", len(content))
            for kind, label, harm in _harms(run, other, file, content):
                line = rest.setdefault(kind, Line(kind, PROMISE))
                line.add(_judged(run, file, label, harm, content))
        yield flips
        yield from rest.values()
        yield _moved_folders(run, other)


def _made(run: Path, other: Path) -> None:
    for folder in (run, other):
        folder.mkdir()
        write_runs(folder, STEPS[0], len(STEPS), lambda step: None)
        write_runs(folder, 100, 0, lambda step: None)
    # The other run is of another identity and else the same to the last bit.
    store = Store(other, "fedcba9876543210")
    for name in store.names():
        shutil.rmtree(other / "checkpoints" / name)
    for found in Store(run, RUN).sound():
        store.commit(
            found.manifest.step, found.arrays, found.manifest.facts, found.manifest.score, Retention(9)
        )
    RunFile("fedcba9876543210", {"step": 1}).write(other, [])


def _files(run: Path) -> list[Path]:
    newest = run / "checkpoints" / Store(run, RUN).names()[0]
    return [newest / "manifest.json", newest / "arrays.safetensors", run / "run.json"]


def _flips(file: Path, content: bytes, every: int) -> Iterator[Harm]:
    rng = random.Random(file.name)
    for place in sorted({*range(0, len(content), every), *range(min(300, len(content)))}):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        yield f"byte {place}", lambda changed=changed: _overwrite(file, changed)


def _harms(
    run: Path, other: Path, file: Path, content: bytes
) -> Iterator[tuple[str, str, Callable[[], None]]]:
    def written(data: bytes) -> Callable[[], None]:
        return lambda: _overwrite(file, data)

    for length in sorted(
        {0, 1, 7, 8, 9, len(content) - 1, *range(0, len(content), max(1, len(content) // 40))}
    ):
        yield "truncated", f"to {length}", written(content[:length])
    for more in (b"\0", b" ", b"\n", b"x" * 4096):
        yield "bytes added", repr(more[:1]), written(content + more)
    for start in range(0, len(content), 4096):
        end = min(start + 4096, len(content))
        yield "a page zeroed", f"at {start}", written(content[:start] + bytes(end - start) + content[end:])
    yield "all zeros", "whole file", written(bytes(len(content)))
    peers = [path for path in (run / "checkpoints").glob(f"*/{file.name}") if path != file]
    for peer in peers:
        yield "swapped with another checkpoint's", peer.parent.name, written(peer.read_bytes())
    if file.name == "manifest.json":
        theirs = other / file.relative_to(run)
        yield "a manifest from another run", theirs.parent.name, written(theirs.read_bytes())
    yield "removed", file.name, file.unlink
    yield "a folder in its place", file.name, lambda: (file.unlink(), file.mkdir())
    yield "a link in its place", file.name, lambda: _linked(file, content)
    yield "a pipe in its place", file.name, lambda: (file.unlink(), os.mkfifo(file))


def _linked(file: Path, content: bytes) -> None:
    # To a file of the very same content outside of the run folder: still not to be followed.
    outside = file.parents[2] / "outside"
    outside.write_bytes(content)
    file.unlink()
    file.symlink_to(outside)


def _judged(run: Path, file: Path, label: str, harm: Callable[[], object], content: bytes) -> str | None:
    try:
        harm()
        wrong = _wrong_checkpoint(run, file) if file.name != "run.json" else _wrong_run_file(run)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    finally:
        _restore(file, content)
    return wrong and f"{file.name}, {label}: {wrong}"


def _wrong_checkpoint(run: Path, file: Path) -> str | None:
    found = list(Store(run, RUN).sound())
    if not isinstance(found[0], Damaged) or found[0].path != file.parent:
        return "read as sound"
    rest = [one for one in found[1:] if isinstance(one, Checkpoint)]
    if [one.manifest.step for one in rest] != [4, 3] or any(different(one) for one in rest):
        return "the sound ones before it were not read"
    report = inspect(run)
    if len(report.damaged) != 1 or report.newest != 4:
        return f"the inspection says {report.damaged}"
    return None


def _wrong_run_file(run: Path) -> str | None:
    try:
        RunFile.read(run)
    except RunFolderError:
        return None if inspect(run).damaged else "the inspection says nothing"
    return "read as sound"


def _restore(file: Path, content: bytes) -> None:
    if file.is_symlink() or (file.exists() and not file.is_dir()):
        file.unlink()
    elif file.is_dir():
        file.rmdir()
    file.write_bytes(content)


def _overwrite(file: Path, data: bytes | bytearray) -> None:
    file.write_bytes(data)


def _moved_folders(run: Path, other: Path) -> Line:
    """Put whole checkpoints where they do not belong."""
    line = Line("a whole checkpoint under another step's name, or of another run", PROMISE)
    place = run / "checkpoints"
    for source, name in (
        (place / "step-0000000003", "step-0000000009"),
        (other / "checkpoints" / "step-0000000005", "step-0000000007"),
        (other / "checkpoints" / "step-0000000005", "step-0000000005.1"),
    ):
        shutil.copytree(source, place / name)
        first = next(Store(run, RUN).sound())
        line.add(None if isinstance(first, Damaged) else f"{name} reads as sound")
        shutil.rmtree(place / name)
    return line
