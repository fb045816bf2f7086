"""A place for whole runs: real `thalweg` processes, an undisturbed run, and the comparison with it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

SAME = ("final.safetensors", "best.safetensors", "steps.parquet", "layers.parquet", "test.parquet")
FIGURES = (
    "steps",
    "epochs",
    "stopped",
    "weights",
    "best",
    "test_loss",
    "test_metric",
    "test_metrics",
    "validation_loss",
)


class Bench:
    """A folder to work in, a compilation cache of its own, and the undisturbed run to compare with.

    Args:
        place: The folder.
        arguments: Of `thalweg fit`, but for the folder; none for no such run.
    """

    def __init__(self, place: Path, *arguments: str):
        self.place, self._arguments = place, arguments
        self.whole, self.seconds = place / "whole", 0.0
        if not arguments:
            return
        assert self.run(*self.fit(self.whole)).returncode == 0
        shutil.rmtree(self.whole)  # once more, now that the programs are compiled: this is how long it takes
        begun = time.perf_counter()
        assert self.run(*self.fit(self.whole)).returncode == 0
        self.seconds = time.perf_counter() - begun

    def fit(self, folder: Path) -> list[str]:
        """Return the command that starts the run."""
        return ["fit", *self._arguments, "--out", str(folder), "-q"]

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start `thalweg`."""
        surroundings = (
            os.environ | {"JAX_PLATFORMS": "cpu", "THALWEG_CACHE": str(self.place / "cache")} | more
        )
        command = [sys.executable, "-m", "thalweg", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.place,
            env=surroundings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `thalweg` to its end."""
        process = self.start(*arguments, **more)
        said, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, said)

    def go_on(self, folder: Path) -> str | None:
        """Go on until the run has ended; say what went wrong."""
        done = self.run(*self.fit(folder), "--resume", "auto")
        return (
            None if done.returncode == 0 else f"going on ended with {done.returncode}: {done.stdout[-300:]}"
        )

    def different(self, folder: Path) -> str | None:
        """Say where a run differs from the undisturbed one."""
        return different(self.whole, folder)


def different(whole: Path, again: Path) -> str | None:
    """Say where two runs differ, clock columns aside; None: nowhere."""
    for name in SAME:
        if (whole / name).exists() and (whole / name).read_bytes() != (again / name).read_bytes():
            return f"{name} differs"
    logs = [pl.read_parquet(folder / "evaluations.parquet").drop("seconds") for folder in (whole, again)]
    if not logs[0].equals(logs[1], null_equal=True):
        return "evaluations.parquet differs"
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, again)]
    wrong = [name for name in FIGURES if results[0].get(name) != results[1].get(name)]
    return f"result.json differs in {', '.join(wrong)}" if wrong else None
