"""Sweeps on workers that are killed, stopped, or cannot write, and whose scheduler is lost.

`scripts/distributed` runs this. Each trial starts `thalweg sweep` as a process with workers of its own, and
plants faults until the sweep ends, and compares its folder with that of the same sweep on one machine, byte
by byte: the table, and of every lane weights, log, predictions and figures (all but seconds).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import psutil

BASE = ["digits", "--recipe", "sgd", "--model", "mlp:32", "--checkpoint-every", "200"]
# The command of docs/cluster.md, with a small model and few updates: 256 lanes in 16 units.
MANY = ["mnist", "--vary", "optimizer.lr=1e-4..1e-1:64log", "--vary", "seed=0..3"]
MANY += ["--model", "mlp:16", "--steps", "300", "--checkpoint-every", "50"]
# Entries of result.json that depend on where and how long a lane ran.
VARYING = ("run", "seconds", "examples_per_second")
TABLES = ("steps", "evaluations", "layers", "test")
LONGEST = 3600.0
TRIALS = ("kills", "disk", "slow", "scheduler")


def lanes(few: bool) -> list[str]:
    """Return the settings of the sweep: 8 lanes, or 32 that train longer."""
    rates, steps = ("1e-3..1e-1:4log", "1500") if few else ("1e-4..1e-1:16log", "6000")
    return ["--steps", steps, "--vary", f"optimizer.lr={rates}", "--vary", "seed=0..1"]


def different(one: Path, other: Path) -> str:
    """Return the first difference between two sweep folders; nothing where there is none."""
    tables = [json.loads((folder / "sweep.json").read_text())["rows"] for folder in (one, other)]
    if json.dumps(tables[0]) != json.dumps(tables[1]):
        return "the table"
    names = [sorted(path.name for path in (folder / "lanes").iterdir()) for folder in (one, other)]
    if names[0] != names[1]:
        return f"the lanes: {names}"
    for name in names[0]:
        pair = [folder / "lanes" / name for folder in (one, other)]
        for what, read in PARTS.items():
            first, second = (read(folder) for folder in pair)
            if first != second:
                return f"{what} of lane {name}"
    return ""


def _bytes(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).read_bytes() if (folder / name).exists() else None


def _rows(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        if not (folder / f"{name}.parquet").exists():
            return None
        table = pl.read_parquet(folder / f"{name}.parquet")
        columns = [column for column in table.columns if column not in ("seconds", "lane")]
        return table.select(columns).write_csv(float_precision=17)

    return read


def _result(folder: Path) -> Any:
    result = json.loads((folder / "result.json").read_text())
    result.get("decisions", {}).pop("seconds", None)
    return json.dumps({name: value for name, value in result.items() if name not in VARYING})


PARTS: dict[str, Callable[[Path], Any]] = {
    **{name: _bytes(name) for name in ("final.safetensors", "best.safetensors", "recipe.toml")},
    **{f"{name}.parquet": _rows(name) for name in TABLES},
    "result.json": _result,
}


class Sweep:
    """`thalweg sweep` as a process.

    Args:
        place: Where its folder and its output lie.
        name: The folder's name.
        arguments: Further arguments.
        resumed: Whether the folder is resumed.
        base: The data, and the arguments of every sweep.
    """

    def __init__(
        self, place: Path, name: str, *arguments: str, resumed: bool = False, base: Sequence[str] = BASE
    ):
        self.folder, self.output = place / name, place / f"{name}.txt"
        words = ["resume"] if resumed else ["sweep", *base, "--out"]
        words.append(str(self.folder))
        command = [sys.executable, "-m", "thalweg", *words, *arguments]
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=place, start_new_session=True
            )

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes that live."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def progress(self) -> set[str]:
        """Return the checkpoints and records that there are, to see whether there are new ones."""
        shards = self.folder / "shards"
        found = {str(path) for path in shards.glob("*/checkpoints/step-*")}
        return found | {str(path) for path in self.folder.glob("lanes/*/run.json")}

    def end(self, timeout: float = LONGEST) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait(timeout)

    def said(self) -> str:
        """Return the end of what it printed."""
        return self.output.read_text()[-1500:]


def kill(sweep: Sweep, most: int, rng: random.Random, most_at_once: int = 4, pause: float = 1.5) -> int:
    """Kill workers at random, one after another, until the sweep ends or `most` are dead; return how many.

    Args:
        sweep: Whose workers.
        most, most_at_once: How many in all, and after each new checkpoint.
        rng: Decides which, when and how many.
        pause: Seconds before each kill, at most.
    """
    killed, before = 0, set[str]()
    while sweep.process.poll() is None and killed < most:
        waited = time.monotonic()
        # Some unit has moved on since the last kill, so that the sweep ends at last.
        while (
            sweep.process.poll() is None and not sweep.progress() - before and time.monotonic() - waited < 60
        ):
            time.sleep(0.1)
        before |= sweep.progress()
        for _ in range(rng.randint(1, most_at_once)):
            time.sleep(rng.uniform(0.0, pause))
            living = sweep.workers()
            if living and killed < most:
                with _gone():
                    rng.choice(living).kill()
                    killed += 1
    return killed


class _gone:
    """A process that has ended meanwhile is no error."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return isinstance(error, psutil.Error)


def killed_workers(place: Path, reference: Path, on: str, kills: int, few: bool) -> Iterator[str]:
    """Kill workers with SIGKILL, sweep after sweep, until so many are dead."""
    rng, dead, number = random.Random(0), 0, 0
    while dead < kills:
        sweep = Sweep(place, f"killed-{on.partition(':')[0]}-{number}", *lanes(few), "--on", on)
        own = kill(sweep, kills - dead, rng)
        dead, number = dead + own, number + 1
        yield _compared(sweep, reference, f"{on}: {own} workers killed ({dead} so far)")


def many_lanes(place: Path, on: str, kills: int) -> Iterator[str]:
    """Train 256 lanes on MNIST, by one machine and by workers that are killed at random."""
    start = time.monotonic()
    one = Sweep(place, "many", "--strict", base=MANY)
    if one.end() != 0:
        yield f"BROKEN 256 lanes on one machine: {one.said()}"
        return
    alone = time.monotonic() - start
    sweep = Sweep(place, "many-killed", "--on", on, base=MANY)
    dead = kill(sweep, kills, random.Random(0))
    code = sweep.end()
    seconds = time.monotonic() - start - alone
    words = f"256 lanes, {on}: {dead} workers killed; {seconds:.0f} s, {alone:.0f} s on one machine"
    wrong = different(one.folder, sweep.folder) if code == 0 else f"it ended with {code}: {sweep.said()}"
    yield f"BROKEN {words}: {wrong}" if wrong else f"equal  {words}"


def full_disk(place: Path, reference: Path, on: str, few: bool) -> Iterator[str]:
    """Let every write of one worker beyond 2 KB fail, for its whole life."""
    sweep = Sweep(place, "full-disk", *lanes(few), "--on", on)
    while not (living := sweep.workers()) and sweep.process.poll() is None:
        time.sleep(0.05)
    with _gone():
        living[0].rlimit(psutil.RLIMIT_FSIZE, (2048, psutil.RLIM_INFINITY))
    code = sweep.end()
    if code == 0:
        yield _compared(sweep, reference, f"{on}: one worker cannot write")
    else:  # every unit that the worker took failed, as often as is allowed
        sweep_again = Sweep(place, "full-disk", resumed=True)
        yield _compared(
            sweep_again, reference, f"{on}: one worker cannot write; it ended with {code}, and was resumed"
        )


def slow_worker(place: Path, reference: Path, on: str, few: bool) -> Iterator[str]:
    """Stop one worker with SIGSTOP for most of the time."""
    sweep, stops = Sweep(place, "slow", *lanes(few), "--on", on), 0
    while sweep.process.poll() is None:
        living = sweep.workers()
        if living:
            with _gone():
                living[0].suspend()
                time.sleep(1.0)
                living[0].resume()
                stops += 1
        time.sleep(0.2)
    yield _compared(sweep, reference, f"{on}: one worker stopped {stops} times for a second")


def lost_scheduler(place: Path, reference: Path, few: bool) -> Iterator[str]:
    """Kill Dask's scheduler, a process of its own, and resume with other workers; then the sweep itself."""
    port = random.Random(os.getpid()).randint(20000, 40000)
    address, module = f"tcp://127.0.0.1:{port}", [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place}
    scheduler = subprocess.Popen(
        [*module, "scheduler", "--port", str(port), "--no-dashboard", "--no-show"], **quiet
    )
    worker = [*module, "worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    time.sleep(5)
    sweep = Sweep(place, "lost", *lanes(few), "--on", f"dask:{address}")
    _until(lambda: bool(sweep.progress()) or sweep.process.poll() is not None)
    scheduler.kill()
    for each in workers:
        each.terminate()
    start = time.monotonic()
    code = sweep.end(300)
    seconds = time.monotonic() - start
    words = f"the scheduler killed: the command ended with {code} after {seconds:.0f} s"
    for each in (scheduler, *workers):
        each.wait(120)
    if code in (0, -signal.SIGKILL):
        yield f"BROKEN {words}: {sweep.said()}"
    before = sweep.progress()
    other = Sweep(place, "lost", "--on", "processes:2", resumed=True)
    _until(lambda: other.progress() - before != set() or other.process.poll() is not None)
    for each in other.workers():
        with _gone():
            each.kill()
    other.process.kill()
    killed = other.end()
    if killed != -signal.SIGKILL:
        yield f"BROKEN {words}: resumed by two processes, it ended with {killed}: {other.said()}"
    last = Sweep(place, "lost", resumed=True)
    yield _compared(
        last, reference, f"{words}; resumed by two processes, killed with them, and resumed by none"
    )


def _until(holds: Callable[[], bool], seconds: float = 300) -> None:
    start = time.monotonic()
    while not holds() and time.monotonic() - start < seconds:
        time.sleep(0.1)


def _compared(sweep: Sweep, reference: Path, words: str) -> str:
    code = sweep.end()
    wrong = different(reference, sweep.folder) if code == 0 else f"it ended with {code}: {sweep.said()}"
    return f"BROKEN {words}: {wrong}" if wrong else f"equal  {words}"


def main() -> int:
    """Run the trials; return 1 if a sweep differs from that on one machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=6, help="workers to kill in all (default 6)")
    parser.add_argument("--on", default="dask:local:4", help="whose workers (default dask:local:4)")
    parser.add_argument("--long", action="store_true", help="32 lanes of 6,000 updates instead of 8 of 1,500")
    parser.add_argument("--only", choices=[*TRIALS, "many"], help="one trial alone")
    options = parser.parse_args()
    broken, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for line in trials(Path(folder), options):
            broken += line.startswith("BROKEN")
            print(f"{time.monotonic() - start:6.0f} s  {line}", flush=True)
    print(f"{broken} broken")
    return int(broken > 0)


def trials(place: Path, options: argparse.Namespace) -> Iterator[str]:
    """Run the trials that the options name."""
    if options.only == "many":
        yield from many_lanes(place, options.on, options.kills)
        return
    few = not options.long
    reference = Sweep(place, "reference", *lanes(few), "--strict")
    if reference.end() != 0:
        yield f"BROKEN one machine: {reference.said()}"
        return
    yield "       on one machine"
    each = {
        "kills": lambda: killed_workers(place, reference.folder, options.on, options.kills, few),
        "disk": lambda: full_disk(place, reference.folder, options.on, few),
        "slow": lambda: slow_worker(place, reference.folder, options.on, few),
        "scheduler": lambda: lost_scheduler(place, reference.folder, few),
    }
    for name in TRIALS:
        if options.only in (None, name):
            yield from each[name]()


if __name__ == "__main__":
    raise SystemExit(main())
