"""Damage to the folder of a run under way, and a folder that cannot be written, met by a real `thalweg`."""

import errno
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.system_calls import FAIL, built
from tests.faults.tally import Line
from tests.faults.victim import scratch

BAD_INPUT = 2
ATTEMPTS = 5  # a run of half a second may be over before it is killed
HARMS = ("a bit flipped", "cut to a half", "a page zeroed", "emptied", "removed", "swapped with another file")
SAID = ("damaged and is skipped", "does not match", "no log is sound", "not usable")
EQUAL = "it equals the undisturbed run byte for byte"


def damaged_runs(full: bool) -> Iterator[Line]:
    """Carry both out on one undisturbed run."""
    with scratch() as place:
        bench = Bench(Path(place), "digits", "--epochs", "12", "--checkpoint-every", "40")
        yield _checkpoints(bench, full)
        yield _other_files(bench, full)
        yield _read_only(bench, 24 if full else 1)


def _checkpoints(bench: Bench, full: bool) -> Line:
    line = Line(
        "the newest checkpoint of a killed run damaged",
        f"it goes on from the one before and says so; {EQUAL}",
    )
    killed = _killed(bench, "killed")
    newest = sorted(one.name for one in (killed / "checkpoints").glob("step-*"))[-1]
    files = [f"checkpoints/{newest}/{name}" for name in ("arrays.safetensors", "manifest.json")]
    tries = [(name, harm) for name in files for harm in HARMS]
    for name, harm in tries if full else [(files[0], HARMS[0]), (files[1], HARMS[2])]:
        code, said, folder = _gone_on(bench, killed, name, harm)
        wrong = bench.different(folder) if code == 0 else f"it ended with {code}: {said[-300:]}"
        if newest not in said or SAID[0] not in said:
            wrong = wrong or f"nothing was said: {said[-300:]}"
        line.add(wrong and f"{name}, {harm}: {wrong}")
        shutil.rmtree(folder)
    return line


def _other_files(bench: Bench, full: bool) -> Line:
    """Damage what lies beside the checkpoints: the log, run.json, and what describes the run."""
    line = Line(
        "a file beside the checkpoints of a killed run damaged",
        f"it goes on, and {EQUAL} or says what is lost of the log; or it is refused, exit code 2",
    )
    killed = _killed(bench, "killed-too")
    files = sorted(one.name for one in killed.iterdir() if one.is_file() and one.stat().st_size)
    tries = [(name, harm) for name in files for harm in HARMS]
    for name, harm in tries if full else [("steps.arrows", HARMS[1]), ("run.json", HARMS[0])]:
        code, said, folder = _gone_on(bench, killed, name, harm)
        if code == BAD_INPUT and "Traceback" not in said:
            line.count("refused")
            line.add(None)
        else:
            wrong = bench.different(folder) if code == 0 else f"it ended with {code}: {said[-300:]}"
            line.count("equal", int(wrong is None))
            lost = code == 0 and any(word in said for word in SAID)
            line.add(wrong and (None if lost else f"{name}, {harm}: {wrong}; said: {said[-200:]}"))
            line.count("not equal in the log, and said so", int(wrong is not None and lost))
        shutil.rmtree(folder)
    return line


def _killed(bench: Bench, name: str) -> Path:
    """Return the folder of a run that was killed with two checkpoints or more."""
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


def _gone_on(bench: Bench, killed: Path, name: str, harm: str) -> tuple[int, str, Path]:
    """Copy a folder, harm one file of the copy, and go on; return the exit code and what was said."""
    folder = bench.place / "harmed"
    shutil.copytree(killed, folder)
    _harm(folder / name, harm, random.Random(name + harm))
    done = bench.run("resume", str(folder))
    return done.returncode, done.stdout, folder


def _harm(file: Path, harm: str, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if harm == "a bit flipped":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif harm == "cut to a half":
        del content[len(content) // 2 :]
    elif harm == "a page zeroed":
        start = rng.randrange(-(-len(content) // 4096)) * 4096
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    elif harm == "emptied":
        content.clear()
    elif harm == "swapped with another file":
        other = next(one for one in sorted(file.parent.iterdir()) if one != file and one.is_file())
        content[:] = other.read_bytes()
    file.unlink()
    if harm != "removed":
        file.write_bytes(content)


def _read_only(bench: Bench, times: int) -> Line:
    line = Line(
        "the folder read-only (EROFS) from a write on, under `thalweg fit`",
        f"it ends well or with an error of ours; gone on with, {EQUAL}",
    )
    with tempfile.TemporaryDirectory() as place:
        library = built(Path(place))
        if library is None:
            line.skipped = "no C compiler (gcc or cc), or no LD_PRELOAD, here"
            return line
        rng = random.Random(7)
        for number in range(times):
            folder, at = bench.place / f"read-only-{number}", rng.randint(1, 260)
            fault = {"FAULT_WHAT": FAIL, "FAULT_AT": at, "FAULT_FROM": 1, "FAULT_WRITES": 1}
            fault |= {"FAULT_ERRNO": errno.EROFS, "FAULT_ROOT": folder, "LD_PRELOAD": library}
            done = bench.run(*bench.fit(folder), **{name: str(value) for name, value in fault.items()})
            wrong = bench.go_on(folder) or bench.different(folder)
            if done.returncode not in (0, BAD_INPUT) or "Traceback" in done.stdout:
                wrong = f"it ended with {done.returncode}: {done.stdout[-300:]}"
            line.add(wrong and f"at call {at}: {wrong}")
    return line
