"""An LSTM on names: nats per character on held-out names, three seeds, compared with a letter-pair table.

Runs `thalweg fit names.txt --lines --model lstm:128,dropout=0.1 --recipe names` as a process. Each name is a
sequence with an end token; the figure is the mean over all characters and ends of the test split (a fifth of
the names). Duplicates of a name stay in one split, so no held-out name was seen in training; duplicates count
as often as they occur. Model and recipe were chosen on the validation split; the test split was not used.
"""

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

SEEDS = (0, 1, 2)
MODEL, RECIPE = "lstm:128,dropout=0.1", "names"
GOAL = 2.15


def run(quick: bool) -> dict:
    """Train every seed; quick: one seed, one epoch."""
    runs = []
    for seed in SEEDS[:1] if quick else SEEDS:
        start = time.perf_counter()
        result = _fit(seed, ["--epochs", "1"] if quick else [])
        runs.append({split: result[f"{split}_loss"] for split in ("train", "validation", "test")})
        runs[-1] |= {"process": time.perf_counter() - start, "fit": result["seconds"]["train"]}
        runs[-1] |= {"parameters": result["parameters"], "epochs": result["epochs"]}
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr)
    return {"model": MODEL, "recipe": RECIPE, "runs": runs, "pairs": _pairs()}


def table(result: dict) -> str:
    """Return the table."""
    runs = result["runs"]
    test = [run["test"] for run in runs]
    mean = sum(test) / len(test)
    reached = "reached" if mean <= GOAL else "not reached"
    return markdown(
        ["held-out names", "nats per character, test", "validation", "training, s"],
        [
            [
                f"{result['model']}, mean (range) of {len(runs)} seeds",
                f"{mean:.4f} ({min(test):.4f}-{max(test):.4f}); goal {GOAL}: {reached}",
                shown(spread(run["validation"] for run in runs), 4),
                shown(spread(run["fit"] for run in runs), 0),
            ],
            ["letter-pair table, add-one smoothing", f"{result['pairs']:.4f}", "", ""],
        ],
    )


def _fit(seed: int, options: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = ["fit", str(_file()), "--lines", "--model", MODEL, "--recipe", RECIPE, "--seed", str(seed)]
        command += ["--out", f"{folder}/run", "--json", "--quiet", *options]
        process = subprocess.run(
            [sys.executable, "-m", "thalweg", *command], capture_output=True, text=True, check=True
        )
        return json.loads(process.stdout)


def _pairs() -> float:
    """Return the test loss of predicting each letter from the one before, by counts in the training split."""
    data = tw.load(_file(), lines=True)
    counts = np.ones((data.outputs, data.outputs))
    for before, after in _steps(data.train):
        np.add.at(counts, (before, after), 1)
    surprise = -np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(np.mean(np.concatenate([surprise[before, after] for before, after in _steps(data.test)])))


def _steps(split: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = zip(split.tokens, split.lengths, strict=True)
    return [(tokens[:length], tokens[1 : length + 1]) for tokens, length in rows]


def _file() -> str:
    return str(data_folder() / "text" / "names.txt")
