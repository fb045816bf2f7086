"""What checkpoints cost: how long training stalls for one, and how much it slows down while it is written.

The state of an Adam run (parameters and two moments) is captured and passed to the writer thread, and
training continues while that thread writes. Measured are the stall (the time that `Checkpointer.save` blocks
the training thread), the time until the checkpoint is on the disk, and steps per second with and without
saving, in pairs.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import markdown, shown, spread

# Model and batch size of each setting. Below: seconds of training with and without saving, and between saves.
SETTINGS = {"784-128-64-10": ("mlp:128,64", 32), "784-512-512-10": ("mlp:512,512", 128)}
PAIRS, SECONDS, EVERY = 5, 20.0, 5.0
MINUTE = 60.0


def run(quick: bool) -> dict:
    """Measure every setting in pairs of processes, one with saving and one without, alternating the order."""
    settings = {}
    for name, (model, batch) in SETTINGS.items():
        pairs = []
        for number in range(1 if quick else PAIRS):
            with tempfile.TemporaryDirectory() as folder:
                order = (True, False) if number % 2 else (False, True)
                pair = {
                    saving: _process(model, batch, folder, saving, 4.0 if quick else SECONDS)
                    for saving in order
                }
                pairs.append(pair)
            print(f"{name}: stall {pair[True]['stall']}", file=sys.stderr)
        settings[name] = _summary(pairs)
    return {"settings": settings, "every_seconds": EVERY}


def _process(model: str, batch: int, folder: str, saving: bool, seconds: float) -> dict:
    command = [
        sys.executable,
        "-m",
        "benchmarks.saving",
        model,
        str(batch),
        folder,
        str(int(saving)),
        str(seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _summary(pairs: list[dict[bool, dict]]) -> dict[str, Any]:
    stalls = [stall for pair in pairs for stall in pair[True]["stall"]]
    return {
        "bytes": pairs[0][True]["bytes"],
        "stall_milliseconds": spread(1000 * stall for stall in stalls),
        "stall_percent_at_one_a_minute": spread(100 * stall / MINUTE for stall in stalls),
        "durable_after_milliseconds": spread(
            1000 * seconds for pair in pairs for seconds in pair[True]["durable"]
        ),
        "speed_ratio_at_one_in_five_seconds": spread(
            pair[True]["speed"] / pair[False]["speed"] for pair in pairs
        ),
    }


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name, summary in result["settings"].items():
        rows.append(
            [
                name,
                f"{summary['bytes'] / 2**20:.1f}",
                shown(summary["stall_milliseconds"]),
                shown(summary["stall_percent_at_one_a_minute"], 4),
                shown(summary["durable_after_milliseconds"], 0),
                shown(summary["speed_ratio_at_one_in_five_seconds"], 3),
            ]
        )
    every = f"{result['every_seconds']:.0f} s"
    header = [
        "setting, AdamW",
        "checkpoint, MiB",
        "stall, ms",
        "stall, % at one per minute (goal: at most 1)",
    ]
    return markdown([*header, "on disk after, ms", f"speed with / without saving every {every}"], rows)


def _measure(model: str, batch: int, place: str, saving: bool, seconds: float) -> dict[str, Any]:
    """Train for a while; return steps per second, and the stall and duration of every save."""
    import thalweg as tw
    from thalweg.problem.models import parse
    from thalweg.run.checkpoint.store import Store
    from thalweg.run.session.checkpointer import Checkpointer
    from thalweg.run.spec import SaveOptions

    held, durable, sizes = [], [], []
    save, commit = Checkpointer.save, Store.commit

    def timed_save(checkpointer: Any, lane_states: Any) -> None:
        begun = time.perf_counter()
        save(checkpointer, lane_states)
        held.append(time.perf_counter() - begun)

    def timed_commit(store: Any, step: int, arrays: Any, *rest: Any, **more: Any) -> Path:
        begun = time.perf_counter()
        path = commit(store, step, arrays, *rest, **more)
        durable.append(time.perf_counter() - begun)
        sizes.append(sum(np.asarray(one).nbytes for one in arrays.values()))
        return path

    Checkpointer.save, Store.commit = timed_save, timed_commit  # type: ignore[method-assign]
    rng = np.random.default_rng(0)
    data = tw.load((rng.random((20_000, 784), np.float32), rng.integers(0, 10, 20_000)))
    recipe = tw.Recipe(tw.AdamW(lr=1e-4), batch_size=batch, epochs=10_000).to_dict() | {"seconds": seconds}
    keep = SaveOptions(
        Path(place) / ("with" if saving else "without"), every=f"{EVERY:.0f}s" if saving else "off"
    )
    result = tw.train(tw.Problem(parse(model), data), tw.Recipe.from_dict(recipe), keep=keep).result
    # The last save, at the end of the run, is not part of training.
    return {
        "speed": result["steps"] / result["seconds"]["train"],
        "stall": held[:-1] or held,
        "durable": durable,
        "bytes": statistics.median(sizes),
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    print(json.dumps(_measure(given[0], int(given[1]), given[2], given[3] == "1", float(given[4]))))
