"""Whole runs of real `thalweg` processes, and the comparison with an undisturbed run."""

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
    """A folder to work in, with its own compilation cache and the undisturbed run to compare with.

    Args:
        place: The folder.
        arguments: Arguments of `thalweg fit` without the folder; none for no undisturbed run.
    """

    def __init__(self, place: Path, *arguments: str):
        self.place, self._arguments = place, arguments
        self.whole, self.seconds = place / "whole", 0.0
        if not arguments:
            return
        assert self.run(*self.fit(self.whole)).returncode == 0
        shutil.rmtree(self.whole)  # again, with compiled programs, to measure the time
        start = time.perf_counter()
        assert self.run(*self.fit(self.whole)).returncode == 0
        self.seconds = time.perf_counter() - start

    def fit(self, folder: Path) -> list[str]:
        """Return the command that starts the run."""
        return ["fit", *self._arguments, "--out", str(folder), "-q"]

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a `thalweg` process."""
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "THALWEG_CACHE": str(self.place / "cache")} | more
        command = [sys.executable, "-m", "thalweg", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.place,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a `thalweg` process to its end."""
        process = self.start(*arguments, **more)
        output, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, output)

    def resume(self, folder: Path) -> str | None:
        """Resume a run until it has ended; return what went wrong, or None."""
        done = self.run(*self.fit(folder), "--resume", "auto")
        return (
            None if done.returncode == 0 else f"resuming ended with {done.returncode}: {done.stdout[-300:]}"
        )

    def different(self, folder: Path) -> str | None:
        """Return where a run differs from the undisturbed one, or None."""
        return different(self.whole, folder)


def different(whole: Path, again: Path) -> str | None:
    """Return where two runs differ, apart from clock columns, or None."""
    for name in SAME:
        if (whole / name).exists() and (whole / name).read_bytes() != (again / name).read_bytes():
            return f"{name} differs"
    logs = [pl.read_parquet(folder / "evaluations.parquet").drop("seconds") for folder in (whole, again)]
    if not logs[0].equals(logs[1], null_equal=True):
        return "evaluations.parquet differs"
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, again)]
    wrong = [name for name in FIGURES if results[0].get(name) != results[1].get(name)]
    return f"result.json differs in {', '.join(wrong)}" if wrong else None
