"""A grid of 32 candidates over 5 folds: `LaneSearchCV` against scikit-learn's `GridSearchCV`.

Eight learning rates times four weight decays, one hidden layer of 64 units, Adam, batches of 64, ten passes,
no early stopping; on scikit-learn's digits and on 4,000 rows of adult (numbers alone). The rival is
`GridSearchCV` over `MLPClassifier` with `n_jobs=2`, and over our own estimator; where PyTorch is installed
also all candidates and folds as one `torch.func.vmap`, written by hand. Each is called in turn in one
process; the first call of a kind also compiles, and is shown apart. scikit-learn's weight decay is its
penalty `alpha`, that of the others AdamW's: the searches are of one size, their best scores need not be
equal.
"""

import importlib.util
import sys
import time
import warnings
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

RATES, DECAYS = np.geomspace(1e-4, 3e-2, 8), (0.0, 1e-3, 1e-2, 1e-1)
FOLDS, ROUNDS, EPOCHS, BATCH, ROWS = 5, 3, 10, 64, 4000
LANES, GRID, PEER, VMAP = (
    "LaneSearchCV",
    "GridSearchCV, the same estimator",
    "GridSearchCV of MLPClassifier, 2 jobs",
    "torch.func.vmap, by hand",
)
HIDDEN, BETAS, EPSILON = 64, (0.9, 0.999), 1e-8


def run(quick: bool) -> dict[str, Any]:
    """Search in turn; quick: two rates and a decay, once."""
    rates, decays = (RATES[3:5].tolist(), [0.0]) if quick else (RATES.tolist(), list(DECAYS))
    found: dict[str, Any] = {}
    for name, (x, y) in {"digits": _digits(), "adult": _adult()}.items():
        searches: dict[str, Any] = {LANES: _lanes(rates, decays), PEER: _peer(rates, decays)}
        if importlib.util.find_spec("torch") is not None:
            searches[VMAP] = _TorchSearch(rates, decays)
        first = {LANES: _seconds(searches[LANES], x, y)}
        if VMAP in searches:
            first[VMAP] = _seconds(searches[VMAP], x, y)
        if not quick:
            first[GRID] = _seconds(_grid(rates, decays), x, y)
        rounds: dict[str, list[float]] = {each: [] for each in searches}
        for number in range(1 if quick else ROUNDS):
            for each, search in searches.items():
                rounds[each].append(_seconds(search, x, y))
            print(
                f"{name}, round {number + 1}: { {each: took[-1] for each, took in rounds.items()} }",
                file=sys.stderr,
            )
        scores = {each: float(search.best_score_) for each, search in searches.items()}
        found[name] = {"first": first, "rounds": rounds, "scores": scores, "rows": len(y)}
    return {"found": found, "candidates": len(rates) * len(decays), "folds": FOLDS}


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for name, data in result["found"].items():
        for each, took in data["rounds"].items():
            first = f"{data['first'][each]:.1f}" if each in data["first"] else ""
            ratio = spread([b / a for a, b in zip(data["rounds"][LANES], took, strict=True)])
            score = f"{data['scores'][each]:.3f}"
            rows.append([name, each, first, shown(spread(took)), shown(ratio), score])
        if GRID in data["first"]:
            rows.append([name, GRID, f"{data['first'][GRID]:.1f}", "", "", ""])
    head = ["data", "search", "first call, s", "seconds", "times LaneSearchCV", "best score"]
    return f"{result['candidates']} candidates x {result['folds']} folds\n\n{markdown(head, rows)}"


def _digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return x / 16.0, y


def _adult() -> tuple[np.ndarray, np.ndarray]:
    frame = pl.read_csv(data_folder() / "tabular" / "adult-train.csv.gz")
    frame = frame.sample(ROWS, seed=0, shuffle=True)
    numbers = frame.select(pl.col(pl.Int64, pl.Float64)).to_numpy().astype(np.float64)
    return (numbers - numbers.mean(axis=0)) / numbers.std(axis=0), frame[:, -1].to_numpy()


def _lanes(rates: list[float], decays: list[float]) -> Any:
    return tw.LaneSearchCV(_own(), {"lr": rates, "weight_decay": decays}, cv=FOLDS)


def _grid(rates: list[float], decays: list[float]) -> Any:
    return GridSearchCV(_own(), {"lr": rates, "weight_decay": decays}, cv=FOLDS)


def _own() -> Any:
    return tw.ThalwegClassifier(
        f"mlp:{HIDDEN}",
        optimizer="adamw",
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_fraction=0.0,
        random_state=0,
    )


def _peer(rates: list[float], decays: list[float]) -> Any:
    network = MLPClassifier((HIDDEN,), batch_size=BATCH, max_iter=EPOCHS, random_state=0)
    return GridSearchCV(network, {"learning_rate_init": rates, "alpha": decays}, cv=FOLDS, n_jobs=2)


class _TorchSearch:
    """Candidates and folds as two axes of one vectorised step, as an expert of PyTorch would write it."""

    def __init__(self, rates: list[float], decays: list[float]):
        import torch

        self._torch = torch
        pairs = [(rate, decay) for rate in rates for decay in decays]
        self._rates, self._decays = (torch.tensor(column) for column in zip(*pairs, strict=True))

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        """Train all, and score each on its fold."""
        torch = self._torch
        classes, numbers = np.unique(y, return_inverse=True)
        folds = list(StratifiedKFold(FOLDS).split(x, numbers))
        rows = min(len(train) for train, _ in folds)  # one of them may have a row more
        inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(numbers)
        sizes = ((x.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, len(classes)), (len(classes),))
        generator = torch.Generator().manual_seed(0)
        start = [
            torch.randn(size, generator=generator) * size[0] ** -0.5 if len(size) == 2 else torch.zeros(size)
            for size in sizes
        ]
        lanes = (len(self._rates), FOLDS)
        weights = [each.expand(*lanes, *each.shape).clone() for each in start]
        means, squares = ([torch.zeros_like(each) for each in weights] for _ in range(2))

        def loss(weights: Any, inputs: Any, targets: Any) -> Any:
            return torch.nn.functional.cross_entropy(_network(torch, weights, inputs), targets)

        over_folds = torch.func.vmap(torch.func.grad(loss))
        gradients = torch.func.vmap(over_folds, in_dims=(0, None, None))
        step, orders = 0, np.random.default_rng(0)
        for _ in range(EPOCHS):
            order = np.stack([train[:rows][orders.permutation(rows)] for train, _ in folds])
            for first in range(0, rows, BATCH):
                batch = torch.tensor(order[:, first : first + BATCH])
                step += 1
                self._adamw(weights, gradients(weights, inputs[batch], targets[batch]), means, squares, step)
        scores = torch.stack(
            [
                (
                    _network(
                        torch, [each[:, fold].unsqueeze(1) for each in weights], inputs[test][None, None]
                    )[:, 0].argmax(-1)
                    == targets[test]
                )
                .float()
                .mean(1)
                for fold, (_, test) in enumerate(folds)
            ]
        )
        self.best_score_ = float(scores.mean(0).max())

    def _adamw(self, weights: Any, gradients: Any, means: Any, squares: Any, step: int) -> None:
        torch = self._torch
        first, second = BETAS
        with torch.no_grad():
            for each, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
                shape = (-1, *[1] * (each.ndim - 1))
                rate, decay = self._rates.reshape(shape), self._decays.reshape(shape)
                mean.mul_(first).add_(gradient, alpha=1 - first)
                square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
                root = (square / (1 - second**step)).sqrt_().add_(EPSILON)
                each.sub_(rate * (mean / (1 - first**step) / root + decay * each))


def _network(torch: Any, weights: Any, inputs: Any) -> Any:
    first, first_bias, last, last_bias = weights
    hidden = torch.relu(inputs @ first + first_bias.unsqueeze(-2))
    return hidden @ last + last_bias.unsqueeze(-2)


def _seconds(search: Any, x: np.ndarray, y: np.ndarray) -> float:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ten passes do not converge
        search.fit(x, y)
    return time.perf_counter() - began
