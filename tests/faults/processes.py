"""One run that several processes train together (`--distributed`), of which one is killed.

`scripts/distributed` runs this after the sweeps. Each trial starts the processes on this machine, kills one
of them with SIGKILL after a new checkpoint, measures how long the others live on, starts all of them again
with `--resume auto`, and compares the folder with that of a run that was not disturbed, byte by byte.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tests.faults.cluster import PARTS

RUN = ["fit", "digits", "--model", "mlp:16", "--recipe", "sgd", "--set", "averaging=ema"]
RUN += ["--no-references", "--checkpoint-every", "50"]
# Seconds until the others of a process that was killed must have ended: a heartbeat, and the time to notice.
LONGEST_AFTER = 60.0
LONGEST = 900.0
# Of two orders of summation, after so many updates, relative to the largest weight; float32.
ROUNDING = 1e-4


class Together:
    """Processes that train one run.

    Args:
        place: Where its folder and outputs lie.
        name: The folder's name.
        count: How many processes; 1 is a process by itself.
        steps: Updates.
        more: Further arguments.
        devices: Devices into which the CPU of each process is divided.
    """

    def __init__(self, place: Path, name: str, count: int, steps: int, *more: str, devices: int = 1):
        self.steps = steps
        self.folder, self.output, self.processes = place / name, place / f"{name}.txt", []
        base = [
            sys.executable,
            "-m",
            "thalweg",
            *RUN,
            "--steps",
            str(steps),
            "--out",
            str(self.folder),
            *more,
        ]
        command = [*base, "--distributed"] if count > 1 else base
        here = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        here["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        address = f"localhost:{_free_port()}"
        for number in range(count):
            peers = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
            environment = here | (peers | {"JAX_PROCESS_ID": str(number)} if count > 1 else {})
            with self.output.open("a") as output:
                started = subprocess.Popen(
                    command, stdout=output, stderr=output, cwd=place, env=environment, start_new_session=True
                )
            self.processes.append(started)

    def checkpoints(self) -> set[str]:
        """Return the names of its checkpoints."""
        return {path.name for path in (self.folder / "checkpoints").glob("step-*")}

    def end(self, timeout: float = LONGEST) -> list[int]:
        """Wait for the end of all; return their exit codes. What is left after the time is killed."""
        until, codes = time.monotonic() + timeout, []
        for process in self.processes:
            try:
                codes.append(process.wait(max(0.0, until - time.monotonic())))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                codes.append(999)
        return codes

    def said(self) -> str:
        """Return the end of what they printed."""
        return self.output.read_text(errors="replace")[-2500:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def different(one: Path, other: Path) -> str:
    """Return what differs between two run folders; nothing where nothing does."""
    return ", ".join(what for what, read in PARTS.items() if read(one) != read(other))


def distance(one: Path, other: Path) -> float:
    """Return the largest difference of a weight, relative to the largest."""
    first, second = (load_file(folder / "final.safetensors") for folder in (one, other))
    largest = max(float(np.abs(leaf).max()) for leaf in first.values())
    return max(float(np.abs(first[name] - second[name]).max()) for name in first) / largest


def ended(reference: Together, which: int, by: signal.Signals) -> Iterator[str]:
    """End one process by a signal, see the others end, and start all again."""
    count, steps, place = len(reference.processes), reference.steps, reference.folder.parent
    run = Together(place, f"{by.name}-{count}-{which}", count, steps)
    until = time.monotonic() + LONGEST
    while len(run.checkpoints()) < 2 and time.monotonic() < until:
        if any(process.poll() is not None for process in run.processes):
            break
        time.sleep(0.05)
    run.processes[which].send_signal(by)
    start = time.monotonic()
    codes = run.end(LONGEST_AFTER)
    seconds = time.monotonic() - start
    words = f"{count} processes, number {which} got {by.name}: all ended after {seconds:.0f} s with {codes}"
    if by == signal.SIGKILL:
        # The first process serves the coordination, without which JAX aborts a process that is not faster.
        with_abort = {3, -signal.SIGABRT} if which == 0 else {3}
        others = [code for number, code in enumerate(codes) if number != which]
        as_said = codes[which] == -by and set(others) <= with_abort
    else:
        as_said = codes == [130] * count  # they save their state and end
    if not as_said:
        yield f"BROKEN {words}: {run.said()}"
        return
    again = Together(place, run.folder.name, count, steps, "--resume", "auto")
    codes = again.end()
    wrong = different(reference.folder, run.folder) if not any(codes) else f"{codes}: {again.said()}"
    yield f"BROKEN {words}: {wrong}" if wrong else f"equal  {words}; started again, they gave the same bytes"


def trials(place: Path, counts: list[int], steps: int) -> Iterator[str]:
    """Run all trials."""
    alone = Together(place, "one", 1, steps)
    if any(alone.end()):
        yield f"BROKEN one process: {alone.said()}"
        return
    for count in counts:
        whole = Together(place, f"whole-{count}", count, steps)
        codes = whole.end()
        if any(codes):
            yield f"BROKEN {count} processes ended with {codes}: {whole.said()}"
            continue
        far = distance(alone.folder, whole.folder)
        yield _near(far, f"{count} processes and one")
        divided = Together(place, f"divided-{count}", 1, steps, "--devices", str(count), devices=count)
        if any(divided.end()):
            yield f"BROKEN one process with {count} devices: {divided.said()}"
        else:
            far = distance(divided.folder, whole.folder)
            yield _near(far, f"{count} processes and one with {count} devices")
        for which in (count - 1, 0):
            yield from ended(whole, which, signal.SIGKILL)
        yield from ended(whole, count - 1, signal.SIGTERM)


def _near(far: float, words: str) -> str:
    return f"{'equal ' if far < ROUNDING else 'BROKEN'} {words}: {far:.1e} of the largest weight"


def main() -> int:
    """Run the trials; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[2], help="how many (default 2)")
    parser.add_argument("--steps", type=int, default=400, help="updates of a run (default 400)")
    options = parser.parse_args()
    broken, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for line in trials(Path(folder), options.processes, options.steps):
            broken += line.startswith("BROKEN")
            print(f"{time.monotonic() - start:6.0f} s  {line}", flush=True)
    print(f"{broken} broken")
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())
