"""Damage to the folder of an unfinished run, and a read-only folder, with real `thalweg` processes."""

import errno
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import BAD_INPUT, NO_COMPILER, Bench, fault, has_library, refused_well, small_bench
from tests.faults.system_calls import FAIL
from tests.faults.tally import Line
from tests.faults.victim import scratch

ATTEMPTS = 5  # a run of half a second may end before it is killed
DAMAGES = (
    "a bit flipped",
    "cut to a half",
    "a page zeroed",
    "emptied",
    "removed",
    "swapped with another file",
)
MESSAGES = ("damaged and is skipped", "does not match", "no log is sound", "not usable")
EQUAL = "it equals the undisturbed run byte for byte"


def damaged_runs(full: bool) -> Iterator[Line]:
    """Try all of these, with one undisturbed run to compare with."""
    with scratch() as place:
        bench = small_bench(Path(place))
        yield _checkpoints(bench, full)
        yield _other_files(bench, full)
        yield _read_only(bench, 24 if full else 1)


def _checkpoints(bench: Bench, full: bool) -> Line:
    line = Line(
        "the newest checkpoint of a killed run damaged",
        f"it resumes from the previous checkpoint and says so; {EQUAL}",
    )
    killed = _killed(bench, "killed")
    newest = sorted(path.name for path in (killed / "checkpoints").glob("step-*"))[-1]
    files = [f"checkpoints/{newest}/{name}" for name in ("arrays.safetensors", "manifest.json")]
    tries = [(name, damage) for name in files for damage in DAMAGES]
    for name, damage in tries if full else [(files[0], DAMAGES[0]), (files[1], DAMAGES[2])]:
        code, output, folder = _resume_damaged(bench, killed, name, damage)
        wrong = bench.different(folder) if code == 0 else f"it ended with {code}: {output[-300:]}"
        if newest not in output or MESSAGES[0] not in output:
            wrong = wrong or f"no message: {output[-300:]}"
        line.add(wrong and f"{name}, {damage}: {wrong}")
        shutil.rmtree(folder)
    return line


def _other_files(bench: Bench, full: bool) -> Line:
    """Damage the other files: the log, run.json, and what describes the run."""
    line = Line(
        "another file of a killed run damaged",
        f"it resumes, and {EQUAL} or says which part of the log is lost; or it is refused with exit code 2",
    )
    killed = _killed(bench, "killed-too")
    files = sorted(path.name for path in killed.iterdir() if path.is_file() and path.stat().st_size)
    tries = [(name, damage) for name in files for damage in DAMAGES]
    for name, damage in tries if full else [("steps.arrows", DAMAGES[1]), ("run.json", DAMAGES[0])]:
        code, output, folder = _resume_damaged(bench, killed, name, damage)
        if code == BAD_INPUT and "Traceback" not in output:
            line.count("refused")
            line.add(None)
        else:
            wrong = bench.different(folder) if code == 0 else f"it ended with {code}: {output[-300:]}"
            line.count("equal", int(wrong is None))
            lost = code == 0 and any(word in output for word in MESSAGES)
            line.add(wrong and (None if lost else f"{name}, {damage}: {wrong}; output: {output[-200:]}"))
            line.count("not equal in the log, and reported", int(wrong is not None and lost))
        shutil.rmtree(folder)
    return line


def _killed(bench: Bench, name: str) -> Path:
    """Return the folder of a run that was killed after two checkpoints or more."""
    for attempt in range(ATTEMPTS):
        folder = bench.place / f"{name}-{attempt}"
        process = bench.start(*bench.fit(folder))
        while process.poll() is None and len(list(folder.glob("checkpoints/step-*"))) < 2:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        if not (folder / "result.json").exists():
            break
    return folder


def _resume_damaged(bench: Bench, killed: Path, name: str, damage: str) -> tuple[int, str, Path]:
    """Copy a folder, damage one file of the copy, and resume; return exit code, output and folder."""
    folder = bench.place / "damaged"
    shutil.copytree(killed, folder)
    _damage(folder / name, damage, random.Random(name + damage))
    done = bench.run("resume", str(folder))
    return done.returncode, done.stdout, folder


def _damage(file: Path, damage: str, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if damage == "a bit flipped":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif damage == "cut to a half":
        del content[len(content) // 2 :]
    elif damage == "a page zeroed":
        start = rng.randrange(-(-len(content) // 4096)) * 4096
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    elif damage == "emptied":
        content.clear()
    elif damage == "swapped with another file":
        other = next(path for path in sorted(file.parent.iterdir()) if path != file and path.is_file())
        content[:] = other.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes(content)


def _read_only(bench: Bench, times: int) -> Line:
    line = Line(
        "the folder read-only (EROFS) from some write on, during `thalweg fit`",
        f"it succeeds or fails with a Thalweg error; resumed, {EQUAL}",
    )
    if not has_library():
        line.skipped = NO_COMPILER
        return line
    rng = random.Random(7)
    for number in range(times):
        folder, at = bench.place / f"read-only-{number}", rng.randint(1, 260)
        armed = fault(folder, at=at, what=FAIL, errno=errno.EROFS, writes=1, **{"from": 1})
        wrong = refused_well(bench.run(*bench.fit(folder), **armed))
        wrong = wrong or bench.resume(folder) or bench.different(folder)
        line.add(wrong and f"at call {at}: {wrong}")
    return line
