"""Records made from a seed, shaped like those of real runs: what readers of runs are tested on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from thalweg.run.folder import record
from thalweg.run.folder.record import Record

ENVIRONMENT = {
    "python": "3.11.9",
    "platform": "Linux-6.1-x86_64",
    "processor": "AMD EPYC",
    "cores": 2,
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "equinox": "0.13.8",
    "optax": "0.2.8",
    "numpy": "2.3.1",
    "thalweg": "0.1.0",
    "device": "cpu",
    "precision": "float32",
    "chunk": 211,
}
RECIPE = {
    "optimizer": {"name": "adamw", "lr": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    "schedule": {"name": "warmup-cosine", "warmup": 0.05, "floor": 0.0, "unit": "fraction"},
    "batch_size": 128,
    "epochs": 5,
    "shuffle": "reshuffle",
    "last_batch": "keep",
    "clip_norm": 1.0,
    "seed": 0,
}


def classification(
    classes: int = 10,
    steps: int = 2110,
    epochs: float = 5.0,
    layers: int = 2,
    examples: int = 2000,
    seed: int = 0,
    accuracy: float = 0.95,
    validation: bool = True,
    names: list[str] | None = None,
) -> Record:
    """An MNIST-like run."""
    random = np.random.default_rng(seed)
    names = names or [str(c) for c in range(classes)]
    target = random.integers(0, classes, examples)
    wrong = random.random(examples) > accuracy
    near = (
        target + np.where(random.random(examples) < 0.6, 1, random.integers(1, classes, examples))
    ) % classes
    prediction = np.where(wrong, near, target)
    value = float((prediction == target).mean())
    score = {"name": "accuracy", "value": value}
    data = _data("mnist", "classification", [28, 28], classes) | {"classes": names, "target": "label"}
    data["counts"]["test"] = examples
    return _record(data, steps, epochs, layers, random, validation, metric="accuracy", final=value).having(
        result={
            "test_metric": score,
            "test_metrics": {"accuracy": value},
            "baseline": {
                "name": "accuracy",
                "value": float(np.bincount(target).max() / examples),
                "of": "the commonest class",
            },
        },
        test=pl.DataFrame({"target": target, "prediction": prediction}),
    )


def regression(steps: int = 1000, examples: int = 3000, seed: int = 0, noise: float = 0.4) -> Record:
    """A run on house prices."""
    random = np.random.default_rng(seed)
    target = np.exp(random.normal(12.1, 0.5, examples))
    prediction = target * np.exp(random.normal(0.0, noise * 0.6, examples))
    rmse = float(np.sqrt(np.mean((prediction - target) ** 2)))
    data = _data("california_housing", "regression", [12], 1) | {
        "target": "median_house_value",
        "classes": None,
    }
    data["counts"]["test"] = examples
    return _record(data, steps, 10.0, 3, random, True, metric="rmse", final=rmse).having(
        result={
            "test_metric": {"name": "rmse", "value": rmse},
            "test_metrics": {"rmse": rmse, "mae": rmse * 0.7},
            "baseline": {"name": "rmse", "value": float(target.std()), "of": "the training mean"},
        },
        test=pl.DataFrame({"target": target, "prediction": prediction}),
    )


def diverged(step: int = 37) -> Record:
    """A run whose loss is NaN from `step` on."""
    record = classification(steps=211)
    loss = (
        pl.when(pl.col("step") >= step).then(float("nan")).otherwise(pl.col("loss") * 1.3 ** pl.col("step"))
    )
    steps = record.steps.filter(pl.col("step") <= step + 5).with_columns(loss.cast(pl.Float32).alias("loss"))
    gone = {"test_metric", "test_metrics", "baseline", "best", "test_loss"}
    result = {key: value for key, value in record.result.items() if key not in gone}
    stop = {"step": step, "epoch": step / 422, "reason": "the loss is NaN"}
    result |= {
        "stopped": "diverged",
        "stopped_at": stop,
        "steps": step,
        "epochs": step / 422,
        "train_loss": float("nan"),
    }
    return replace(
        record,
        steps=steps,
        result=result,
        evaluations=record.evaluations.clear(),
        layers=record.layers.clear(),
        test=pl.DataFrame(),
    )


def empty() -> Record:
    """A folder with next to nothing in it."""
    return Record(folder=None, recipe={}, problem={}, result={}, environment={})


class _Record(Record):
    def having(self, result: dict, test: pl.DataFrame) -> Record:
        """Return a plain record with more in its result, and test answers."""
        return Record(
            self.folder,
            self.recipe,
            self.problem,
            self.result | result,
            self.environment,
            self.steps,
            self.evaluations,
            self.layers,
            test=test,
        )


def _data(name: str, task: str, shape: list[int], outputs: int) -> dict:
    notes = [
        {
            "kind": "imbalance",
            "text": "The commonest class has 11.2 % of the rows, the rarest 9.0 %.",
            "columns": [],
        },
        {"kind": "constant", "text": "3 columns never change and were left out.", "columns": ["a", "b", "c"]},
    ]
    return {
        "name": name,
        "source": {"name": name},
        "task": task,
        "input_shape": shape,
        "outputs": outputs,
        "counts": {"train": 54000, "validation": 6000, "test": 10000},
        "notes": notes,
        "fingerprint": "ab" * 32,
    }


def _record(
    data: dict,
    steps: int,
    epochs: float,
    layers: int,
    random: np.random.Generator,
    validation: bool,
    *,
    metric: str,
    final: float,
) -> _Record:
    at = np.arange(1, steps + 1)
    smooth = 2.3 * np.exp(-6 * at / steps) + 0.05
    evaluations, best = _evaluations(steps, epochs, random, validation, metric, final)
    paths = [f"layers.{i}.{kind}" for i in range(layers) for kind in ("weight", "bias")]
    model = {
        "spec": "mlp:512",
        "parameters": 669_706,
        "layers": [
            {
                "path": path,
                "shape": [512, 784] if "weight" in path else [512],
                "role": "matrix" if "weight" in path else "bias",
                "count": 401_408 if "weight" in path else 512,
            }
            for path in paths
        ],
    }
    result = {
        "run": "runs/made-1",
        "task": data["task"],
        "model": "mlp:512",
        "parameters": 669_706,
        "steps": steps,
        "epochs": epochs,
        "stopped": "epochs",
        "stopped_at": {"step": steps, "epoch": epochs, "reason": ""},
        "weights": "best" if validation else "final",
        "train_loss": 0.051,
        "test_loss": 0.083,
        "seconds": {"total": 14.2, "compile": 1.1, "train": 11.9, "evaluate": 1.2},
        "examples_per_second": 22_700.0,
        **({"validation_loss": best["validation_loss"], "best": best} if validation else {}),
    }
    return _Record(
        Path("runs/made-1"),
        RECIPE,
        {"data": data, "model": model, "loss": "cross_entropy", "metric": metric},
        result,
        ENVIRONMENT,
        pl.DataFrame(
            {
                "lane": np.zeros(steps, int),
                "step": at,
                "loss": smooth * np.exp(random.normal(0, 0.25, steps)),
                "learning_rate": 1e-3
                * np.minimum(at / (0.05 * steps), 0.5 * (1 + np.cos(np.pi * at / steps))),
                "gradient_norm": smooth * np.exp(random.normal(0, 0.4, steps)),
            },
            schema=record.empty("steps").schema,
        ),
        evaluations,
        _layers(paths, steps, random),
    )


def _evaluations(
    steps: int, epochs: float, random: np.random.Generator, validation: bool, metric: str, final: float
) -> tuple[pl.DataFrame, dict]:
    number = max(1, min(60, round(epochs) * 2))
    rows, losses = [], []
    for k in range(1, number + 1):
        step, share = round(steps * k / number), k / number
        train, held = 2.3 * np.exp(-6 * share) + 0.05, 2.3 * np.exp(-5 * share) + 0.07 + 0.03 * share**2
        score = (
            final * (1 - 0.5 * np.exp(-5 * share))
            if metric == "accuracy"
            else final * (1 + np.exp(-5 * share))
        )
        rows.append((0, step, epochs * share, "train", train, score, 0.3 * k))
        if validation:
            rows.append(
                (0, step, epochs * share, "validation", held * np.exp(random.normal(0, 0.02)), score, 0.3 * k)
            )
            losses.append((rows[-1][4], step, epochs * share))
    loss, step, epoch = min(losses, default=(0.0, 0, 0.0))
    frame = pl.DataFrame(rows, schema=record.empty("evaluations").schema, orient="row")
    return frame, {"step": step, "epoch": epoch, "validation_loss": loss}


def _layers(paths: list[str], steps: int, random: np.random.Generator) -> pl.DataFrame:
    rows = []
    for step in np.unique(np.linspace(1, steps, min(steps, 40)).astype(int)).tolist():
        for depth, path in enumerate(paths):
            weight = (20.0 if "weight" in path else 0.5) * (1 + step / steps) / (1 + 0.05 * depth)
            gradient = 0.5 * np.exp(-0.1 * depth + random.normal(0, 0.3) - 2 * step / steps)
            rows.append((0, step, path, weight, gradient, 1e-3 * weight * np.exp(random.normal(0, 0.2))))
    return pl.DataFrame(rows, schema=record.empty("layers").schema, orient="row")
