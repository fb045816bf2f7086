"""Tiny Shakespeare, nanoGPT's setting for a CPU: validation loss after 2,000 updates of 12 windows.

4 layers, 4 heads, width 128, context 64. The loss, in nats per character, is the mean over the whole
validation split (the last tenth of the text) in windows that do not overlap, with the weights after the last
update. There is one evaluation, so nothing is selected by it. Three seeds per recipe.

`nanogpt-cpu` has nanoGPT's hyperparameters and evaluates an average of the weights over about the last
hundred updates, because the learning rate does not fall to zero (without the average: 1.9098, 1.8998, 1.8999;
no other average was tried). The hyperparameters of `nanogpt-cpu-muon` come from two trials with other splits:
trained on the first 80 % of the text, validated on the next 10 %.
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

SEEDS, QUICK_STEPS = 3, 20
# Goal of each recipe for the mean validation loss over seeds.
GOALS = {"nanogpt-cpu": 1.90, "nanogpt-cpu-muon": 1.80}


def run(quick: bool) -> dict[str, Any]:
    """Train every recipe with every seed."""
    validation = tw.load("tinyshakespeare", folder=data_folder()).validation
    assert validation is not None
    runs = {}
    for recipe in GOALS:
        runs[recipe] = [fit(recipe, seed, quick) for seed in range(1 if quick else SEEDS)]
    return {"windows": validation.count(), "runs": runs}


def fit(recipe: str, seed: int, quick: bool = False) -> dict[str, Any]:
    """Train once by the command line; return the figures of the result."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "thalweg", "fit", "tinyshakespeare", "--model", "gpt"]
        command += ["--recipe", recipe, "--seed", str(seed), "--folder", str(data_folder())]
        command += ["--json", "--quiet", "--out", f"{folder}/run"]
        command += ["--steps", str(QUICK_STEPS)] if quick else []
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = json.loads(output)
    names = ("steps", "stopped", "weights", "train_loss", "validation_loss", "seconds", "sample")
    print(recipe, seed, result["validation_loss"], result["seconds"], file=sys.stderr)
    return {"seed": seed} | {name: result[name] for name in names}


def table(result: dict[str, Any]) -> str:
    """Return the table, and the beginning of a sample from each recipe's first run."""
    rows, samples = [], []
    for recipe, runs in result["runs"].items():
        losses = [run["validation_loss"] for run in runs]
        mean, goal = sum(losses) / len(losses), GOALS[recipe]
        seconds = spread(run["seconds"]["train"] for run in runs)
        verdict = "reached" if mean <= goal else "**not reached**"
        each = ", ".join(f"{loss:.4f}" for loss in losses)
        rows.append([recipe, f"{mean:.4f}", each, f"<= {goal:.2f}", verdict, shown(seconds, 0)])
        samples.append(f"{recipe}, seed {runs[0]['seed']}:\n\n" + runs[0]["sample"][:300])
    header = ["recipe", "validation loss, mean", "by seed", "goal", "", "training, s"]
    intro = f"{result['windows']} windows of 64 characters, 2,000 updates of 12 windows.\n\n"
    return intro + markdown(header, rows) + "\n\n" + "\n\n".join(samples)
