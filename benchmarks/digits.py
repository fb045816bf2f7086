"""Run `thalweg fit digits` once per seed (of split, weights and order): test accuracy and process time."""

import json
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import markdown, shown, spread

SEEDS = 10


def run(quick: bool) -> dict:
    """Train on digits with the defaults, each seed with its own stratified 20 % test split."""
    accuracies, seconds = [], []
    for seed in range(2 if quick else SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            process = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "thalweg",
                    "fit",
                    "digits",
                    "--seed",
                    str(seed),
                    "--split-seed",
                    str(seed),
                    "--out",
                    f"{folder}/run",
                    "--json",
                    "--quiet",
                ],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(time.perf_counter() - start)
            accuracies.append(json.loads(process.stdout)["test_metric"]["value"])
        print(f"seed {seed}: {accuracies[-1]:.4f} in {seconds[-1]:.1f} s", file=sys.stderr)
    return {"accuracies": accuracies, "seconds": seconds}


def table(result: dict) -> str:
    """Return the table."""
    accuracy = spread(100 * a for a in result["accuracies"])
    return markdown(
        ["digits, default model and recipe", "test accuracy, %", "process, s"],
        [
            [
                f"median (range) of {accuracy['runs']:.0f} seeds",
                shown(accuracy),
                shown(spread(result["seconds"]), 1),
            ]
        ],
    )
