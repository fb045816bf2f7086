"""The reference run: steps, evaluations, stopping, the kept weights and the result, as the docs state."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.reference import losses
from tests.reference.network import Arrays, Network, Statistics
from tests.reference.optimizers import Rules
from tests.reference.schedules import Average, Clock, factor, momentum, plateau_of

# Updates between two evaluations, at least; they come at ends of epochs.
FEWEST_BETWEEN = 50
# Updates between two rows of layer statistics, in runs of up to 2,500 updates.
LAYERS_EVERY = 25
DIVERGES_AT = 1e4
SMALLEST_ROW = 1e-3


@dataclass(frozen=True)
class Task:
    """What is learned, as plain values and functions of NumPy.

    Args:
        name: The kind of task: classification, regression, multilabel.
        network: The model.
        loss: From (outputs, targets) to the loss of each row and its slope.
        metric: A key of `losses.METRICS`, and its name in the log.
        splits: Inputs and targets by split; inputs enter as they are here, in float64.
        unit, origin: Scale and mean of a regression's target.
        weighted: Whether targets are `(targets, weights)`.
    """

    name: str
    network: Network
    loss: losses.Loss
    metric: tuple[str, str]
    splits: dict[str, tuple[np.ndarray, Any]]
    unit: float = 1.0
    origin: float = 0.0
    weighted: bool = False


@dataclass(frozen=True)
class Given:
    """What is random in a run, as arrays.

    Args:
        weights: The first weights.
        order: For an epoch, the rows in the order in which they are read.
        masks: For an update, `microbatch`, then for each hidden layer which units of which row stay; None
            without dropout.
        noise: For an update, standard normal numbers for each parameter; None without noise.
    """

    weights: Arrays
    order: Callable[[int], np.ndarray]
    masks: Callable[[int], list[list[np.ndarray]]] | None = None
    noise: Callable[[int], Arrays] | None = None


@dataclass
class Outcome:
    """What a run leaves behind."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, tuple[Arrays, list[Statistics]]] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    test: tuple[np.ndarray, np.ndarray] | None = None


class Reference:
    """One run.

    Args:
        task: What is learned.
        recipe: How, as plain values.
        given: What is random.
        planned: Updates that the schedule is planned over, where that is not the length of the run.
    """

    def __init__(self, task: Task, recipe: dict[str, Any], given: Given, planned: int | None = None):
        self.task, self.recipe, self.given = task, recipe, given
        rows = len(task.splits["train"][0])
        self.batch_size = rows if recipe["batch_size"] == "full" else recipe["batch_size"]
        short = recipe["last_batch"] == "keep" and rows % self.batch_size > 0
        self.epoch_steps = rows // self.batch_size + short
        self.total = recipe["steps"] or recipe["epochs"] * self.epoch_steps
        self.planned = planned or self.total
        self.params, self.statistics = dict(given.weights), task.network.first_statistics()
        roles = {path: task.network.role(path) for path in self.params}
        self.rules, self.state = Rules(recipe["optimizer"], recipe["groups"] or [], roles), {}
        averaged = recipe["averaging"]["name"] != "none"
        self.average = Average(recipe["averaging"], self.params) if averaged else None
        self.plateau = plateau_of(recipe["schedule"])
        self.limit, self.made, self.stopped = math.inf, 0, ""
        self.best: tuple[float, int, Any] = (math.inf, -1, None)
        self.waited, self.last_loss = 0, math.nan
        self.since: list[float] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Train, select the weights, and evaluate them."""
        epoch = self.epoch_steps
        interval = epoch * math.ceil(FEWEST_BETWEEN / epoch)
        for t in range(self.total):
            self.stopped = self._update(t)
            if not self.stopped and ((t + 1) % interval == 0 or t + 1 == self.total):
                self.stopped = self._evaluate()
            if self.stopped:
                break
        self.stopped = self.stopped or ("steps" if self.recipe["steps"] else "epochs")
        return self._finish()

    def evaluated_weights(self) -> tuple[Arrays, list[Statistics]]:
        """Return the weights to evaluate and keep: averaged, where the recipe averages."""
        if self.average is not None:
            return self.average.params, self.statistics
        return self.rules.evaluated(self.params, self.state), self.statistics

    def _update(self, t: int) -> str:
        """Make update t, counted from 0; return why training stops there, or nothing."""
        recipe, clock = self.recipe, Clock(t, self.planned, self.epoch_steps)
        epoch, batch = divmod(t, self.epoch_steps)
        rows = self.given.order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]
        loss, grads, statistics = self._gradient(t, rows, self.params, recipe["accumulate"])
        share = factor(recipe["schedule"], clock, self.plateau) * self._rate_factor()
        used, norm = self._processed(t, grads)
        optimizer = recipe["optimizer"]
        rate = (optimizer["base"] if optimizer["name"] == "sam" else optimizer)["lr"] * share
        self.outcome.steps.append({"step": t, "loss": loss, "learning_rate": rate, "gradient_norm": norm})
        self.since.append(loss)
        limit = self.limit
        if math.isinf(limit):  # until the first update is made
            self.limit = DIVERGES_AT * max(1.0, abs(loss))

        def again(weights: Arrays) -> Arrays:
            return self._gradient(t, rows, weights, 1)[1]

        finite = math.isfinite(loss) and all(np.isfinite(g).all() for g in grads.values())
        failed = not loss <= self.limit or not math.isfinite(loss)
        before, stopped = self.params, ""
        if recipe["skip_nonfinite"] and not finite:
            self.limit, self.made = limit, self.made + 1
        elif recipe["gradient_below"] is not None and not failed and norm < recipe["gradient_below"]:
            stopped = "gradient_below"
        else:
            driven = momentum(recipe["schedule"], clock)
            after = self.rules.step(self.params, used, self.state, share, driven, again)
            self.statistics = statistics
            if failed:
                stopped = "diverged"
            else:
                self.params, self.made = after, self.made + 1
            if self.average is not None:
                self.average.update(self.params, clock)
        if t % LAYERS_EVERY == 0:
            self._log_layers(t, before, grads)
        return stopped

    def _rate_factor(self) -> float:
        if self.recipe["rate_rule"] == "none":
            return 1.0
        ratio = self.recipe["batch_size"] / self.recipe["rate_batch"]
        return ratio if self.recipe["rate_rule"] == "linear" else math.sqrt(ratio)

    def _gradient(
        self, t: int, rows: np.ndarray, params: Arrays, parts: int
    ) -> tuple[float, Arrays, list[Statistics]]:
        """Return the mean loss of a batch, its gradient and the statistics after it, part by part."""
        x, y = self.task.splits["train"]
        length = math.ceil(self.batch_size / parts)
        masks = None if self.given.masks is None else self.given.masks(t)
        loss, grads, statistics = 0.0, {path: np.zeros_like(w) for path, w in params.items()}, self.statistics
        for part in range(parts):
            some = rows[part * length : (part + 1) * length]
            if not len(some):
                continue
            targets = _take(y, some)

            def slope(outputs: np.ndarray, targets: Any = targets) -> tuple[float, np.ndarray]:
                values, slopes = self.task.loss(outputs, targets)
                return float(values.sum()) / len(rows), slopes / len(rows)

            keep = None if masks is None else [layer[: len(some)] for layer in masks[part]]
            more, g, statistics = self.task.network.gradient(params, statistics, x[some], keep, slope)
            loss += more
            grads = {path: total + g[path] for path, total in grads.items()}
        return loss, grads, statistics

    def _processed(self, t: int, g: Arrays) -> tuple[Arrays, float]:
        """Return the gradient after clipping and noise, and its norm before (NaN where nothing needs it)."""
        recipe, norm = self.recipe, math.nan
        g = self.rules.without_frozen(g)
        if recipe["clip_norm"] is not None or recipe["gradient_below"] is not None:
            norm = _global_norm(g)
        if recipe["clip_value"] is not None:
            g = {path: np.clip(leaf, -recipe["clip_value"], recipe["clip_value"]) for path, leaf in g.items()}
        if recipe["agc"] is not None:
            g = {path: _clip_rows(leaf, self.params[path], recipe["agc"]) for path, leaf in g.items()}
        if recipe["clip_norm"] is not None:
            length = _global_norm(g)
            if length > recipe["clip_norm"]:
                g = {path: leaf * (recipe["clip_norm"] / length) for path, leaf in g.items()}
        if recipe["noise"] is not None:
            assert self.given.noise is not None
            deviation = math.sqrt(recipe["noise"] / (1 + t) ** recipe["noise_decay"])
            g = {path: g[path] + deviation * z for path, z in self.given.noise(t).items()}
        return g, norm

    def _log_layers(self, t: int, before: Arrays, grads: Arrays) -> None:
        for path, w in before.items():
            row = {"step": t, "path": path, "weight_norm": _norm(w), "gradient_norm": _norm(grads[path])}
            self.outcome.layers.append(row | {"update_norm": _norm(self.params[path] - w)})

    def _evaluate(self) -> str:
        """Evaluate on the validation split; return why training stops, or nothing."""
        recipe, loss = self.recipe, float(np.mean(self.since))
        metric = math.nan
        self.since = []
        if "validation" in self.task.splits:
            loss, metric = self._log_evaluation("validation", self.evaluated_weights(), self.made)
            if self.plateau is not None:
                self.plateau.observe(loss)
            self.waited += 1
            if math.isfinite(loss) and loss < self.best[0]:
                self.best, self.waited = (loss, self.made, self.evaluated_weights()), 0
        before, self.last_loss = self.last_loss, loss
        sign = 1 if losses.METRICS[self.task.metric[0]][2] else -1
        if recipe["target"] is not None and sign * metric >= sign * recipe["target"]:
            return "target"
        if recipe["loss_change_below"] is not None and abs(loss - before) < recipe["loss_change_below"]:
            return "loss_change_below"
        if recipe["patience"] is not None and self.waited >= recipe["patience"]:
            return "patience"
        return ""

    def _losses(self, split: str, weights: tuple[Arrays, list[Statistics]]) -> tuple[Any, Any]:
        x, y = self.task.splits[split]
        outputs = self.task.network.outputs(*weights, x)
        return outputs, self.task.loss(outputs, y)[0]

    def _log_evaluation(self, split: str, weights: Any, step: int) -> tuple[float, float]:
        outputs, values = self._losses(split, weights)
        rule, finish, _ = losses.METRICS[self.task.metric[0]]
        y = self.task.splits[split][1]
        if self.task.weighted:
            per_row = y[1] * rule(outputs, y[0])
        elif self.task.name == "regression":
            per_row = rule(outputs * self.task.unit, y * self.task.unit)
        else:
            per_row = rule(outputs, y)
        loss, metric = float(values.mean()), float(finish(per_row.mean()))
        row = {"step": step, "epoch": step / self.epoch_steps, "part": split}
        self.outcome.evaluations.append(row | {"loss": loss, "metric": metric})
        return loss, metric

    def _finish(self) -> Outcome:
        outcome, epoch = self.outcome, self.epoch_steps
        final = self.evaluated_weights()
        outcome.weights = {"final": final}
        if self.best[1] >= 0:
            outcome.weights["best"] = self.best[2]
        which = self._selected(final)
        step = self.best[1] if which == "best" else self.made
        at = {"step": self.made, "epoch": round(self.made / epoch, 6)}
        result: dict[str, Any] = {
            "task": self.task.name,
            "parameters": sum(w.size for w in self.params.values()),
            "steps": self.made,
            "epochs": at["epoch"],
            "stopped": self.stopped,
            "stopped_at": at,
            "weights": which,
        }
        for split in ("test", "train", "validation"):  # in the order of the log
            result |= {f"{split}_loss": None, f"{split}_metric": None}
            if split in self.task.splits:
                loss, metric = self._log_evaluation(split, outcome.weights[which], step)
                value = {"name": self.task.metric[1], "value": metric}
                result |= {f"{split}_loss": loss, f"{split}_metric": value}
        if self.best[1] >= 0:
            where = {"step": self.best[1], "epoch": round(self.best[1] / epoch, 6)}
            result["best"] = where | {"validation_loss": self.best[0]}
        outcome.result = result | self._scores(outcome.weights[which])
        return outcome

    def _selected(self, final: Any) -> str:
        """Return which weights are kept: the last ones, unless the best ones are clearly better."""
        if self.best[1] < 0 or self.stopped == "target":
            return "final"
        if self.stopped in ("patience", "diverged"):
            return "best"
        gain = self._losses("validation", final)[1] - self._losses("validation", self.best[2])[1]
        error = math.sqrt(((gain - gain.mean()) ** 2).sum() / (len(gain) - 1) / len(gain))
        return "final" if gain.mean() <= error else "best"

    def _scores(self, weights: Any) -> dict[str, Any]:
        """Return the scores of the predictions on the test split, and those of a constant prediction."""
        task = self.task
        if "test" not in task.splits or task.weighted:
            return {}
        x, y = task.splits["test"]
        z, common = task.network.outputs(*weights, x), task.splits["train"][1]
        if task.name == "classification":
            prediction = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(int)
            self.outcome.test = (y, prediction)
            value = float((y == np.bincount(common).argmax()).mean())
            naive = {"name": "accuracy", "value": value, "of": "the commonest class"}
            return {"test_metrics": losses.class_scores(y, prediction), "baseline": naive}
        if task.name == "multilabel":
            prediction = (z > 0).astype(int)
            self.outcome.test = (y.astype(int), prediction)
            value = float((y == (common.mean(axis=0) > 0.5)).mean())
            naive = {"name": "accuracy", "value": value, "of": "the commonest answer for each label"}
            return {"test_metrics": losses.label_scores(y.astype(int), prediction), "baseline": naive}
        if y.shape[1] > 1:
            return {}
        target, prediction = (values[:, 0] * task.unit + task.origin for values in (y, z))
        self.outcome.test = (target, prediction)
        value = float(np.sqrt((((y - common.mean()) * task.unit) ** 2).mean()))
        naive = {"name": "rmse", "value": value, "of": "the training mean"}
        return {"test_metrics": losses.value_scores(target, prediction), "baseline": naive}


def _take(targets: Any, rows: np.ndarray) -> Any:
    return tuple(part[rows] for part in targets) if isinstance(targets, tuple) else targets[rows]


def _norm(array: np.ndarray) -> float:
    return math.sqrt(float((array**2).sum()))


def _global_norm(arrays: Arrays) -> float:
    return math.sqrt(sum(float((leaf**2).sum()) for leaf in arrays.values()))


def _clip_rows(g: np.ndarray, w: np.ndarray, share: float) -> np.ndarray:
    """Clip the gradient of each row of a matrix, and of each number of a vector."""
    axes = tuple(range(1, g.ndim))
    norms, own = (np.sqrt((array**2).sum(axis=axes, keepdims=True)) for array in (g, w))
    limit = share * np.maximum(own, SMALLEST_ROW)
    return g * np.where(norms > limit, limit / np.where(norms > limit, norms, 1), 1)
