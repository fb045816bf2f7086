"""Real `thalweg` processes, killed and disturbed, resumed, and compared with an undisturbed run."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import (
    BAD_INPUT,
    INTERRUPTED,
    NO_COMPILER,
    SHORTAGE,
    Bench,
    Process,
    different,
    fault,
    has_library,
    refused_well,
    small_bench,
    until_saved,
)
from tests.faults.system_calls import FAIL
from tests.faults.tally import Line
from tests.faults.victim import scratch

QUICK_KILLS, FULL_KILLS = 6, 300
QUICK_DISKS = 2  # calls of each kind that fail
SOAK_SECONDS = 30 * 60
EQUAL = "resumed, it equals the undisturbed run: weights, log and test figures, byte for byte"
QUICK_SWEEP_KILLS, FULL_SWEEP_KILLS = 2, 20
# A run of half a second may end before the signal arrives; at most this many are started.
ATTEMPTS = 5


def killed_runs(full: bool) -> Iterator[Line]:
    """Kill runs of half a second until enough of them were killed before their end."""
    with scratch() as place:
        yield _killed(small_bench(Path(place)), FULL_KILLS if full else QUICK_KILLS)


def soak(full: bool) -> Iterator[Line]:
    """Kill such runs for half an hour; only in full."""
    line = Line("30 minutes of a small run with a kill every few seconds", EQUAL)
    if not full:
        line.skipped = "only with --full: it takes 30 minutes"
        yield line
        return
    with scratch() as place:
        yield _soak(small_bench(Path(place)), line)


def whole_runs(full: bool) -> Iterator[Line]:
    """Try all of these, with one undisturbed run to compare with."""
    with scratch() as place:
        bench = small_bench(Path(place))
        yield _signals(bench, 5 if full else 1)
        yield _two_interrupts(bench, 5 if full else 1)
        yield from _failing_disk(bench, 24 if full else QUICK_DISKS)
        yield _removed_folder(bench, 5 if full else 1)
        yield _two_at_once(bench)
        yield _other_devices(bench)
        yield _changed_data(bench)
        yield _damaged_files(bench, full)


def mnist(full: bool) -> Iterator[Line]:
    """Kill one run of a realistic size 20 times; only in full, as it takes minutes."""
    line = Line("`thalweg fit mnist --epochs 4 --checkpoint-every 200`, killed 20 times", EQUAL)
    if not full or not Path(os.environ.get("THALWEG_DATA", ""), "mnist").is_dir():
        line.skipped = "only with --full, and MNIST under THALWEG_DATA"
        yield line
        return
    with scratch() as place:
        bench = Bench(Path(place), "mnist", "--epochs", "4", "--checkpoint-every", "200")
        killed = _killed(bench, 20)
        killed.name = line.name
    yield killed


def whole_sweeps(full: bool) -> Iterator[Line]:
    """Kill a sweep of 16 lanes, one of which diverges, until it has ended."""
    line = Line("SIGKILL of a sweep of 16 lanes, one of which diverges, until it has ended", EQUAL)
    with scratch() as place:
        bench = Bench(Path(place))
        whole, rng, kills, number = bench.place / "whole", random.Random(4), 0, 0
        for _ in range(2):  # the second run, with compiled programs, gives the time for the kills
            shutil.rmtree(whole, ignore_errors=True)
            start = time.perf_counter()
            assert _sweep(bench, whole).wait() == 0
            seconds = time.perf_counter() - start
        while kills < (FULL_SWEEP_KILLS if full else QUICK_SWEEP_KILLS):
            folder = bench.place / f"sweep-{number}"
            number += 1
            while _kill_sweep(bench, folder, rng.uniform(0.3, 1.0) * seconds):
                kills += 1
            lanes = [(lane, folder / "lanes" / lane.name) for lane in sorted((whole / "lanes").iterdir())]
            wrong = None if len(lanes) == 16 else f"it has {len(lanes)} lanes"
            line.add(wrong or next((wrong for pair in lanes if (wrong := different(*pair))), None))
            shutil.rmtree(folder)
        reasons = json.loads((whole / "sweep.json").read_text())["stopped"]
        line.count("kills", kills)
        line.count("lanes that diverged", reasons.get("diverged", 0))
    yield line


def _kill_sweep(bench: Bench, folder: Path, seconds: float) -> bool:
    """Start or resume the sweep, and kill it after some seconds; return False if it ended before."""
    process = _sweep(bench, folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    code = process.wait()
    assert code in (0, -signal.SIGKILL), f"the sweep ended with {code}"
    return code == -signal.SIGKILL


def _sweep(bench: Bench, folder: Path) -> Process:
    """Start or resume the sweep."""
    return bench.start(str(folder), module="tests.faults.sweep")


def _killed(bench: Bench, kills: int) -> Line:
    line = Line("SIGKILL of `thalweg fit` at random times, until it has ended", EQUAL)
    rng, done, number = random.Random(3), 0, 0
    while done < kills:
        folder = bench.place / f"killed-{number}"
        number += 1
        while (killed := _kill(bench, folder, rng)) and done < kills:
            done += 1
        done += int(killed)
        wrong = bench.resume(folder) or bench.different(folder)
        line.add(wrong)
        shutil.rmtree(folder, ignore_errors=True)
    line.count("kills", done)
    return line


def _kill(bench: Bench, folder: Path, rng: random.Random) -> bool:
    """Start or resume, and kill after a random time or at a critical moment; False if it ended before."""
    process = bench.start(*bench.fit(folder), "--resume", "auto")
    end = time.monotonic() + rng.uniform(0.3, 1.3) * bench.seconds
    moment = rng.choice([None, ".part-", "final.safetensors", "step-"])
    while process.poll() is None and time.monotonic() < end:
        if moment is not None and _exists(folder, moment) and rng.random() < 0.3:
            break
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def _exists(folder: Path, name: str) -> bool:
    try:
        return any(
            entry.startswith(name) for at in (folder, folder / "checkpoints") for entry in os.listdir(at)
        )
    except OSError:
        return False


def _signals(bench: Bench, times: int) -> Line:
    line = Line("SIGTERM and Ctrl-C", f"the state is saved, exit code {INTERRUPTED}; " + EQUAL)
    for number in range(times):
        for number_of_signal in (signal.SIGTERM, signal.SIGINT):
            folder, process = _signalled(bench, f"signal-{number}-{number_of_signal}", number_of_signal)
            result = json.loads((folder / "result.json").read_text())
            saved = max(int(name[5:15]) for name in os.listdir(folder / "checkpoints"))
            wrong = None
            if (
                process.returncode != INTERRUPTED
                or result["stopped"] != "interrupted"
                or result["steps"] != saved
            ):
                wrong = f"{process.returncode}, {result['stopped']}, step {result['steps']}, saved {saved}"
            line.add(wrong or bench.resume(folder) or bench.different(folder))
    return line


def _signalled(bench: Bench, name: str, number: signal.Signals) -> tuple[Path, Process]:
    """Start a run and send it a signal; try again if it ended before."""
    for attempt in range(ATTEMPTS):
        folder = bench.place / f"{name}-{attempt}"
        process = bench.start(*bench.fit(folder))
        until_saved(folder, process)
        process.send_signal(number)
        process.communicate(timeout=120)
        if json.loads((folder / "result.json").read_text())["stopped"] not in ("epochs", "steps"):
            break
    return folder, process


def _two_interrupts(bench: Bench, times: int) -> Line:
    line = Line("Ctrl-C twice", "it ends at once; " + EQUAL)
    for number in range(times):
        folder = bench.place / f"twice-{number}"
        process = bench.start(*bench.fit(folder))
        until_saved(folder, process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        process.communicate(timeout=60)
        wrong = None if process.returncode in (INTERRUPTED, 0) else f"it ended with {process.returncode}"
        line.add(wrong or bench.resume(folder) or bench.different(folder))
    return line


def _failing_disk(bench: Bench, times: int) -> Iterator[Line]:
    """Let the disk fail during a run: from some write on, or at one call."""
    kinds = (("disk full from some write on", errno.ENOSPC, True), ("EIO at one write", errno.EIO, False))
    for name, error, onward in kinds:
        line = Line(f"{name}, during `thalweg fit`", "it succeeds or fails with a Thalweg error; " + EQUAL)
        if not has_library():
            line.skipped = NO_COMPILER
            yield line
            continue
        rng = random.Random(error)
        for number in range(times):
            folder, at = bench.place / f"disk-{error}-{number}", rng.randint(1, 260)
            more = {"from": 1} if onward else {}
            armed = fault(folder, at=at, what=FAIL, errno=error, writes=1, **more)
            wrong = refused_well(bench.run(*bench.fit(folder), **armed), (0, BAD_INPUT, SHORTAGE))
            wrong = wrong or bench.resume(folder) or bench.different(folder)
            line.add(wrong and f"at call {at}: {wrong}")
        yield line


def _removed_folder(bench: Bench, times: int) -> Line:
    line = Line("the run folder removed during `thalweg fit`", "it succeeds, and weights and result exist")
    for number in range(times):
        folder = bench.place / f"removed-{number}"
        process = bench.start(*bench.fit(folder))
        until_saved(folder, process)
        shutil.rmtree(folder, ignore_errors=True)
        output, _ = process.communicate(timeout=120)
        if process.returncode != 0 or not (folder / "final.safetensors").exists():
            line.add(f"it ended with {process.returncode}: {output[-300:]}")
        else:
            line.add(bench.different(folder))
    return line


def _two_at_once(bench: Bench) -> Line:
    line = Line(
        "two processes resume one run", "one resumes, the other is refused with exit code 2; " + EQUAL
    )
    folder = bench.place / "two"
    process = bench.start(*bench.fit(folder))
    until_saved(folder, process)
    process.send_signal(signal.SIGSTOP)  # it must live until the second has started
    second = bench.run("resume", str(folder), "-q")
    refused = second.returncode == BAD_INPUT and "one process at a time" in second.stdout
    process.kill()
    process.communicate()
    both = [bench.start("resume", str(folder), "-q") for _ in range(2)]
    output = [process.communicate()[0] for process in both]
    codes = sorted(process.returncode for process in both)
    wrong = None if refused else f"the second was not refused: {second.returncode} {second.stdout[-200:]}"
    if codes not in ([0, BAD_INPUT], [0, 0]):  # if one ended before the other started, both succeed
        wrong = wrong or f"{codes}: {output}"
    line.add(wrong or bench.different(folder))
    return line


def _other_devices(bench: Bench) -> Line:
    line = Line("resuming with another number of devices", "allowed, with a message that bits may differ")
    folder = bench.place / "devices"
    process = bench.start(*bench.fit(folder))
    until_saved(folder, process)
    process.kill()
    process.communicate()
    command = [*bench.fit(folder), "--resume", "auto"]
    command.remove("-q")
    done = bench.run(*command, XLA_FLAGS="--xla_force_host_platform_device_count=3")
    wrong = None if done.returncode == 0 else f"it ended with {done.returncode}: {done.stdout[-300:]}"
    if "the bits may differ" not in done.stdout:
        wrong = wrong or f"no message: {done.stdout[:300]}"
    line.add(wrong)
    line.count("equal bits nevertheless", int(wrong is None and bench.different(folder) is None))
    return line


def _changed_data(bench: Bench) -> Line:
    line = Line("data that changed between start and resume", "refused with exit code 2 and what changed")
    table = bench.place / "t.csv"
    rows = [f"{n % 7},{n % 11},{n % 2}" for n in range(400)]
    for word, changed in (
        ("examples instead of", rows[:-40]),
        ("other values", ["3" + row[1:] if n == 5 else row for n, row in enumerate(rows)]),
    ):
        folder = bench.place / f"data-{len(changed)}"
        table.write_text("\n".join(["a,b,label", *rows]) + "\n")
        command = ["fit", str(table), "--target", "label", "--epochs", "300", "--checkpoint-every", "20"]
        process = bench.start(*command, "--out", str(folder), "-q")
        until_saved(folder, process)
        process.kill()
        process.communicate()
        table.write_text("\n".join(["a,b,label", *changed]) + "\n")
        done = bench.run("resume", str(folder), "-q")
        correct = done.returncode == BAD_INPUT and word in done.stdout
        line.add(None if correct else f"{done.returncode}: {done.stdout[-300:]}")
    return line


def _damaged_files(bench: Bench, full: bool) -> Line:
    line = Line(
        "a byte changed in every file of a finished run", "`thalweg check` names the file, exit code 3"
    )
    rng = random.Random(5)
    files = [path for path in sorted(bench.whole.rglob("*")) if path.is_file() and path.name != "report.html"]
    for file in files if full else files[::4]:
        content = file.read_bytes()
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        done = bench.run("check", str(bench.whole), "--json")
        file.write_bytes(content)
        named = [check["name"] for check in json.loads(done.stdout)["findings"] if check["sound"] is False]
        name = str(file.relative_to(bench.whole))
        correct = done.returncode == 3 and len(named) == 1 and name.startswith(named[0])
        line.add(None if correct else f"{name}: {done.returncode}, named {named}")
    return line


def _soak(bench: Bench, line: Line) -> Line:
    rng, end, kills = random.Random(6), time.monotonic() + SOAK_SECONDS, 0
    while time.monotonic() < end:
        folder = bench.place / "soak"
        while _kill(bench, folder, rng) and time.monotonic() < end:
            kills += 1
        line.add(bench.resume(folder) or bench.different(folder))
        shutil.rmtree(folder)
    line.count("kills", kills)
    return line
