"""Commands that are stopped for a while, killed at their writes, or find the disk full at the report."""

import errno
import functools
import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import polars as pl

from tests.faults.bench import (
    BAD_INPUT,
    NO_COMPILER,
    SHORTAGE,
    Bench,
    fault,
    has_library,
    refused_well,
    small_bench,
    until_saved,
)
from tests.faults.system_calls import FAIL, KILL_AFTER, KILL_BEFORE, TORN
from tests.faults.tally import Line
from tests.faults.victim import scratch
from thalweg.recipe import toml

KILLS = (KILL_BEFORE, KILL_AFTER, TORN)
OLD = b"the user's predictions of yesterday\n"
FORMATS = (".csv", ".parquet", ".npy")
# Entries of finding.json that depend on where and how long it ran.
VARYING = ("run", "cost")


def commands(full: bool) -> Iterator[Line]:
    """Try all of these, with one undisturbed run to compare with."""
    with scratch() as place:
        bench = small_bench(Path(place))
        yield _stopped(bench, 20 if full else 1)
        if has_library():
            yield _killed_find(bench, full)
            yield _killed_predict(bench, full)
            yield from _full_disk(bench, full)
        else:
            yield Line(
                "kills of `find` and `predict`, and a full disk at the report", "", skipped=NO_COMPILER
            )


def _stopped(bench: Bench, times: int) -> Line:
    line = Line(
        "SIGSTOP and SIGCONT, several times, in the middle of `thalweg fit`",
        "it ends as if nothing had happened: weights, log and test figures, byte for byte",
    )
    rng = random.Random(8)
    for number in range(times):
        folder = bench.place / f"stopped-{number}"
        process = bench.start(*bench.fit(folder))
        if number % 2:
            until_saved(folder, process)
        while process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            line.count("stops")
            time.sleep(rng.uniform(0.02, 0.2))
            process.send_signal(signal.SIGCONT)
            time.sleep(rng.uniform(0.02, 0.3))
        output, _ = process.communicate()
        wrong = bench.different(folder) if process.returncode == 0 else output[-300:]
        line.add(wrong and f"it ended with {process.returncode}: {wrong}")
        shutil.rmtree(folder)
    return line


def _killed_find(bench: Bench, full: bool) -> Line:
    """Kill a search at its writes; it writes only when it has ended."""
    line = Line(
        "SIGKILL of `thalweg find` before, in and after its writes",
        "no torn file is left, `show` reads or refuses what is there, and finding again gives what an "
        "undisturbed search gives",
    )
    whole, counted = bench.place / "found", bench.place / "count"
    done = bench.run(*_find(whole), **fault(whole, count=counted, writes=1))
    calls = int(counted.read_text()) if done.returncode == 0 else 0
    tries = [(kill, at) for at in range(1, calls + 1) for kill in KILLS]
    for kill, at in tries if full else random.Random(9).sample(tries, 2):
        folder = bench.place / "found-again"
        killed = bench.run(*_find(folder), **fault(folder, at=at, what=kill, writes=1))
        wrong = None if killed.returncode == -signal.SIGKILL else f"it ended with {killed.returncode}"
        wrong = wrong or torn(folder) or refused_well(bench.run("show", str(folder)))
        line.count("left something", int(folder.exists() and any(folder.iterdir())))
        wrong = wrong or _found_again(bench, folder, whole)
        line.add(wrong and f"call {at} of {calls}, kind {kill}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return line


def _find(folder: Path) -> list[str]:
    return ["find", "digits", "--epochs", "2", "--budget", "10%", "--out", str(folder), "-q"]


def _found_again(bench: Bench, folder: Path, whole: Path) -> str | None:
    """Find again in a folder that a kill left; return what is wrong, or None."""
    done = bench.run(*_find(folder))
    if done.returncode == BAD_INPUT and "--force" in done.stdout:  # an earlier finding is there
        done = bench.run(*_find(folder), "--force")
    if done.returncode != 0:
        return f"finding again ended with {done.returncode}: {done.stdout[-300:]}"
    names = [sorted(path.name for path in each.iterdir()) for each in (whole, folder)]
    if names[0] != names[1]:
        return f"finding again left {names[1]}"
    first, second = (json.loads((each / "finding.json").read_text()) for each in (whole, folder))
    wrong = [name for name in first if name not in VARYING and first[name] != second.get(name)]
    return torn(folder) or (f"finding.json differs in {', '.join(wrong)}" if wrong else None)


def torn(folder: Path) -> str | None:
    """Return a file of a folder that is not whole, or None. Files under a temporary name do not count."""
    for path in sorted(folder.glob("[!.]*.*")):
        content = path.read_bytes()
        if not content:
            return f"{path.name} is empty"
        try:
            if path.suffix == ".json":
                json.loads(content)
            elif path.suffix == ".toml":
                toml.read(content.decode() + "\n")
            elif path.suffix == ".parquet":
                pl.read_parquet(BytesIO(content))
            elif path.suffix in (".html", ".svg") and not content.rstrip().endswith((b"</html>", b"</svg>")):
                return f"{path.name} is torn"
        except Exception as error:
            return f"{path.name} is torn: {error}"
    return None


def _killed_predict(bench: Bench, full: bool) -> Line:
    """Kill `predict --out FILE` at its writes, where FILE exists."""
    line = Line(
        "SIGKILL of `thalweg predict --out` before, in and after its writes over an older file",
        "the file is the old one or the new one, never torn; predicting again gives the new one",
    )
    rng = random.Random(10)
    for suffix in FORMATS if full else FORMATS[:2]:
        folder, counted = bench.place / f"predicted{suffix}", bench.place / "count"
        folder.mkdir()
        out = folder / f"out{suffix}"
        command = [*_overwriting(bench)[f"answers{suffix}"], "--out", str(out)]
        done = bench.run(*command, **fault(folder, count=counted, writes=1))
        new, calls = out.read_bytes(), int(counted.read_text())
        tries = [(kill, at) for at in range(1, calls + 1) for kill in KILLS]
        for kill, at in tries if full else rng.sample(tries, 1):
            out.write_bytes(OLD)
            killed = bench.run(*command, **fault(folder, at=at, what=kill, writes=1))
            wrong = None if out.read_bytes() in (OLD, new) else "the file is torn"
            if killed.returncode not in (0, -signal.SIGKILL):
                wrong = f"it ended with {killed.returncode}: {killed.stdout[-300:]}"
            line.count("kept the old file", int(out.read_bytes() == OLD))
            done = bench.run(*command)
            if done.returncode != 0 or out.read_bytes() != new:
                wrong = wrong or f"predicting again ended with {done.returncode}: {done.stdout[-300:]}"
            line.add(wrong and f"call {at} of {calls}, kind {kill}, {suffix}: {wrong}")
    return line


def _full_disk(bench: Bench, full: bool) -> Iterator[Line]:
    """Let the disk be full for the report alone, and for `report`."""
    times = 12 if full else 1
    yield _report_of_fit(bench, times)
    line = Line(
        "disk full (ENOSPC) from some write on, during `thalweg report` and `predict --out` over older files",
        "refused with exit code 2 or 4, and the older file is kept; or done",
    )
    rng = random.Random(11)
    for number in range(times):
        for name, command in list(_overwriting(bench).items())[: None if full else 2]:
            folder = bench.place / "written"
            folder.mkdir(exist_ok=True)
            out = folder / name
            out.write_bytes(OLD)
            at, wanted = rng.randint(1, 4), rng.choice((errno.ENOSPC, errno.EDQUOT))
            armed = fault(folder, at=at, what=FAIL, errno=wanted, writes=1, **{"from": 1})
            done = bench.run(*command, "--out", str(out), **armed)
            wrong = refused_well(done, (0, BAD_INPUT, SHORTAGE))
            if done.returncode in (BAD_INPUT, SHORTAGE) and out.read_bytes() != OLD:
                wrong = f"refused, and the old file is lost: {out.stat().st_size} bytes are there"
            elif done.returncode == 0 and (out.read_bytes() == OLD or len(out.read_bytes()) < 1000):
                wrong = "it claims to have written"
            line.count("refused", int(done.returncode == BAD_INPUT))
            line.add(wrong and f"{name}, try {number}, call {at}: {wrong}")
    yield line


def _overwriting(bench: Bench) -> dict[str, list[str]]:
    """Return commands that overwrite a file, by its name."""
    commands = {"drawn.html": ["report", str(bench.whole)]}
    commands |= {f"answers{suffix}": ["predict", str(bench.whole), "digits"] for suffix in FORMATS}
    return {name: [*command, *_force(bench, command[0])] for name, command in commands.items()}


@functools.cache
def _force(bench: Bench, command: str) -> list[str]:
    """Return the option without which the command keeps a file that exists."""
    return ["--force"] if "--force" in bench.run(command, "--help").stdout else []


def _report_of_fit(bench: Bench, times: int) -> Line:
    line = Line(
        "disk full (ENOSPC) when `thalweg fit` writes its report",
        "exit code 4; everything else is there and equals the undisturbed run; `report` draws it later",
    )
    for number in range(times):
        folder = bench.place / f"page-{number}"
        armed = fault(folder, path="report", at=1 + number, what=FAIL, errno=errno.ENOSPC, writes=1)
        done = bench.run(*bench.fit(folder), **armed, FAULT_FROM="1")
        wrong = refused_well(done, (0, SHORTAGE)) or bench.different(folder)
        written = (folder / "report.html").exists()
        if (done.returncode == 0) != written:
            wrong = wrong or f"it ended with {done.returncode}, and report.html exists: {written}"
        wrong = wrong or refused_well(bench.run("check", str(folder)), (0,))
        wrong = wrong or refused_well(bench.run("report", str(folder)), (0,)) or torn(folder)
        line.count("without the report", int(not written))
        line.add(wrong and f"call {1 + number}: {wrong}")
        shutil.rmtree(folder)
    return line
