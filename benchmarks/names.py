"""An LSTM on names: nats a character on held-out names, three seeds, beside a table of letter pairs.

`thalweg fit names.txt --lines --model lstm:128,dropout=0.1 --recipe names`, as a process. A name is a
sequence of its own with an end; the figure is the mean over all characters and ends of the test part (a
fifth of the names). Copies of a name stay in one part, so no held-out name was seen in training; the copies
count as often as they occur. Model and recipe were chosen on the validation part; the test part was not
looked at before.
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
    found = []
    for seed in SEEDS[:1] if quick else SEEDS:
        begun = time.perf_counter()
        result = _fit(seed, ["--epochs", "1"] if quick else [])
        found.append({part: result[f"{part}_loss"] for part in ("train", "validation", "test")})
        found[-1] |= {"process": time.perf_counter() - begun, "fit": result["seconds"]["train"]}
        found[-1] |= {"parameters": result["parameters"], "epochs": result["epochs"]}
        print(f"seed {seed}: {found[-1]}", file=sys.stderr)
    return {"model": MODEL, "recipe": RECIPE, "runs": found, "pairs": _pairs()}


def table(result: dict) -> str:
    """Return the table."""
    runs = result["runs"]
    test = [found["test"] for found in runs]
    mean = sum(test) / len(test)
    reached = "reached" if mean <= GOAL else "not reached"
    return markdown(
        ["held-out names", "nats a character, test", "validation", "training, s"],
        [
            [
                f"{result['model']}, mean (range) of {len(runs)} seeds",
                f"{mean:.4f} ({min(test):.4f}-{max(test):.4f}); goal {GOAL}: {reached}",
                shown(spread(found["validation"] for found in runs), 4),
                shown(spread(found["fit"] for found in runs), 0),
            ],
            ["table of letter pairs, counts plus one", f"{result['pairs']:.4f}", "", ""],
        ],
    )


def _fit(seed: int, more: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = ["fit", str(_file()), "--lines", "--model", MODEL, "--recipe", RECIPE, "--seed", str(seed)]
        command += ["--out", f"{folder}/run", "--json", "--quiet", *more]
        done = subprocess.run(
            [sys.executable, "-m", "thalweg", *command], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


def _pairs() -> float:
    """Return the test loss of predicting each letter from the one before, by counts in the training part."""
    data = tw.load(_file(), lines=True)
    counts = np.ones((data.outputs, data.outputs))
    for before, after in _steps(data.train):
        np.add.at(counts, (before, after), 1)
    surprise = -np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(np.mean(np.concatenate([surprise[before, after] for before, after in _steps(data.test)])))


def _steps(part: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = zip(part.tokens, part.lengths, strict=True)
    return [(tokens[:length], tokens[1 : length + 1]) for tokens, length in rows]


def _file() -> str:
    return str(data_folder() / "text" / "names.txt")
