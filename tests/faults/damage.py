"""Damage to a run folder: at every byte of every file, and by files that are swapped or replaced."""

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
PROMISE = "detected; the newest sound checkpoint is used, and the damaged one is named"
EVERY_QUICK = 7  # bytes between flips; 1 in the full trial
Harm = tuple[str, Callable[[], None]]


def damaged_files(full: bool) -> Iterator[Line]:
    """Damage one file of the newest checkpoint or run.json at a time, and read the folder."""
    with scratch(fast=True) as place:
        run, other = Path(place) / "run", Path(place) / "other"
        _write_folders(run, other)
        flips, rest = Line("one bit flipped, at every byte of every file", PROMISE), {}
        for file in _files(run):
            content = file.read_bytes()
            for label, harm in _flips(file, content, 1 if full else EVERY_QUICK):
                flips.add(_outcome(run, file, label, harm, content))
            flips.count(f"bytes of {file.name}", len(content))
            for kind, label, harm in _harms(run, other, file, content):
                line = rest.setdefault(kind, Line(kind, PROMISE))
                line.add(_outcome(run, file, label, harm, content))
        yield flips
        yield from rest.values()
        yield _moved_folders(run, other)


def _write_folders(run: Path, other: Path) -> None:
    for folder in (run, other):
        folder.mkdir()
        write_runs(folder, STEPS[0], len(STEPS), lambda step: None)
        write_runs(folder, 100, 0, lambda step: None)
    # The other run differs in its identity only.
    store = Store(other, "fedcba9876543210")
    for name in store.names():
        shutil.rmtree(other / "checkpoints" / name)
    for checkpoint in Store(run, RUN).sound():
        manifest = checkpoint.manifest
        store.commit(manifest.step, checkpoint.arrays, manifest.facts, manifest.score, Retention(9))
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
    yield "replaced by a folder", file.name, lambda: (file.unlink(), file.mkdir())
    yield "replaced by a link", file.name, lambda: _linked(file, content)
    yield "replaced by a pipe", file.name, lambda: (file.unlink(), os.mkfifo(file))


def _linked(file: Path, content: bytes) -> None:
    # A link to the same content outside the run folder must not be followed either.
    outside = file.parents[2] / "outside"
    outside.write_bytes(content)
    file.unlink()
    file.symlink_to(outside)


def _outcome(run: Path, file: Path, label: str, harm: Callable[[], object], content: bytes) -> str | None:
    try:
        harm()
        wrong = _wrong_checkpoint(run, file) if file.name != "run.json" else _wrong_run_file(run)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    finally:
        _restore(file, content)
    return wrong and f"{file.name}, {label}: {wrong}"


def _wrong_checkpoint(run: Path, file: Path) -> str | None:
    newest, *older = Store(run, RUN).sound()
    if not isinstance(newest, Damaged) or newest.path != file.parent:
        return "read as sound"
    sound = [checkpoint for checkpoint in older if isinstance(checkpoint, Checkpoint)]
    if [each.manifest.step for each in sound] != [4, 3] or any(different(each) for each in sound):
        return "the older sound checkpoints were not read"
    inspection = inspect(run)
    if len(inspection.damaged) != 1 or inspection.newest != 4:
        return f"the inspection says {inspection.damaged}"
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
    """Move whole checkpoints to other names and runs."""
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
