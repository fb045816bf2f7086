"""MNIST, 784-512-10: the default recipe, and plain SGD 0.01 at batch 128 compared with eager PyTorch.

Both train on the same 60,000 rows with the same scaling and the same initialisation rule (PyTorch's). PyTorch
takes batches by index from tensors in memory, its fastest eager form, or from a DataLoader. Runs alternate;
times are of the training loop alone, without import, compilation and evaluation.
"""

import json
import subprocess
import sys
import tempfile
import time

import numpy as np

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

SEEDS, EPOCHS, BATCH = 5, 5, 128


def run(quick: bool) -> dict:
    """Train every seed with every library."""
    import torch

    data = tw.load("mnist", folder=data_folder(), validation=0.0)
    problem = tw.Problem(tw.MLP([784, 512, 10], initialisation="torch"), data)
    runs: dict = {"thalweg": [], "torch": [], "DataLoader": [], "default": _default_recipe()}
    _ours(problem, 0)  # compiles
    for seed in range(1 if quick else SEEDS):
        runs["thalweg"].append(_ours(problem, seed))
        runs["torch"].append(_torch(torch, data, seed, _by_index))
        runs["DataLoader"].append(_torch(torch, data, seed, _by_loader))
        print(seed, runs["thalweg"][-1], runs["torch"][-1], file=sys.stderr)
    return runs


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    names = {
        "thalweg": "Thalweg",
        "torch": "PyTorch eager, by index",
        "DataLoader": "PyTorch eager, DataLoader",
    }
    for name, label in names.items():
        accuracy = spread(100 * r["accuracy"] for r in result[name])
        ratios = [t["seconds"] / o["seconds"] for t, o in zip(result[name], result["thalweg"], strict=True)]
        seconds = spread(r["seconds"] for r in result[name])
        rows.append(
            [f"SGD 0.01, batch {BATCH}: {label}", shown(accuracy), shown(seconds), shown(spread(ratios))]
        )
    default = result["default"]
    accuracy = f"{100 * default['accuracy']:.2f}"
    rows.append(["default recipe, seed 0", accuracy, f"{default['seconds']:.2f}", ""])
    header = [
        f"MNIST, 784-512-10, {EPOCHS} epochs",
        "test accuracy, %",
        "training loop, s",
        "time relative to Thalweg",
    ]
    return markdown(header, rows)


def _ours(problem: "tw.Problem", seed: int) -> dict:
    recipe = tw.Recipe(tw.SGD(lr=0.01), batch_size=BATCH, epochs=EPOCHS, seed=seed)
    result = tw.train(problem, recipe).result
    return {"accuracy": result["test_metric"]["value"], "seconds": result["seconds"]["train"]}


def _torch(torch, data, seed: int, batches) -> dict:  # noqa: ANN001 - optional extra
    torch.manual_seed(seed)
    scaled = {
        name: torch.from_numpy(np.asarray(data.preparation.scale(split.inputs)).reshape(-1, 784).copy())
        for name, split in (("train", data.train), ("test", data.test))
    }
    targets = {
        n: torch.from_numpy(np.asarray(p.targets, np.int64))
        for n, p in (("train", data.train), ("test", data.test))
    }
    model = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss = torch.nn.CrossEntropyLoss()
    x, y = scaled["train"], targets["train"]
    start = time.perf_counter()
    for _ in range(EPOCHS):
        for inputs, labels in batches(torch, x, y):
            optimizer.zero_grad()
            loss(model(inputs), labels).backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        accuracy = (model(scaled["test"]).argmax(1) == targets["test"]).float().mean().item()
    return {"accuracy": accuracy, "seconds": seconds}


def _by_index(torch, x, y):  # noqa: ANN001, ANN202
    for rows in torch.randperm(len(x)).split(BATCH):
        yield x[rows], y[rows]


def _by_loader(torch, x, y):  # noqa: ANN001, ANN202
    data = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)


def _default_recipe() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "thalweg",
            "fit",
            "mnist",
            "--model",
            "mlp:512",
            "--epochs",
            str(EPOCHS),
            "--seed",
            "0",
            "--json",
            "--quiet",
            "--out",
            f"{folder}/run",
            "--folder",
            str(data_folder()),
        ]
        result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"accuracy": result["test_metric"]["value"], "seconds": result["seconds"]["train"]}
