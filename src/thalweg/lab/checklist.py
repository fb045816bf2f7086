"""The rules of the texts' checklist: each reads a recipe, with a problem if there is one, and answers.

`points` has the table of what they are about.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.core.caller import option
from thalweg.insight.wording import figure, plural
from thalweg.recipe.optimizers import SGD, GradientDescent
from thalweg.recipe.recipe import FULL, Recipe
from thalweg.recipe.schedules import Constant, Plateau
from thalweg.view.schedule import EPOCH_STEPS, curve_of

FOLLOWED, MISSED, OPEN, UNUSED = "followed", "not followed", "not known", "does not apply"
# Layers from which a plain network is called deep: gradients of sigmoids are lost at that depth
# (`lab.gradients.vanishing`), and plain layers train worse (`lab.surfaces.plain_or_residual`).
DEEP = 7
# The smallest batch for which batch norm is advised; Wu & He, Group Normalization, 2018, figure 1.
SMALLEST_NORMED = 8
# A rate further away from its optimizer's default is unusual: the textbooks' grids end there.
USUAL = 10.0
# Batches from which the texts scale the rate; Goyal et al. 2017 scale from 256.
LARGE = 256
# Updates in an epoch below which batches are large against the data.
FEW_UPDATES = 10
# Parameters for each training example above which a model is large against the data.
LARGE_MODEL = 10.0


@dataclass(frozen=True)
class Subject:
    """What is audited.

    Args:
        name: The recipe's name, or the folder of the run.
        recipe: The recipe.
        problem: As in problem.json (`run.folder.describe`); None where the recipe stands alone.
        result: As in result.json, of a run.
    """

    name: str
    recipe: Recipe
    problem: Mapping[str, Any] | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def examples(self) -> int | None:
        """Training examples, if they are known."""
        return None if self.problem is None else self.problem["data"]["counts"].get("train")

    @property
    def model(self) -> Mapping[str, Any] | None:
        """The settings of the architecture; None of a recipe alone, and of a model class of the user."""
        return None if self.problem is None else self.problem["model"]["architecture"]

    @property
    def layers(self) -> int:
        """Matrices of the model, one after another; members of an ensemble stand side by side."""
        assert self.problem is not None
        settings = self.model or {}
        if settings.get("name") == "tabular":  # arrays hold all members, so that a bias has two axes as well
            return len(settings["sizes"]) - 1
        return sum(len(each["shape"]) > 1 for each in self.problem["model"]["layers"])


@dataclass(frozen=True)
class Answer:
    """What a recipe says to a point.

    Args:
        status: `followed`, `not followed`, `not known` or `does not apply`.
        here: What is there, in words.
        change: Settings that follow the advice, as `path=value`.
    """

    status: str
    here: str
    change: tuple[str, ...] = ()


def _is(right: bool, here: str, *change: str) -> Answer:
    return Answer(FOLLOWED, here) if right else Answer(MISSED, here, change)


NO_PROBLEM = Answer(OPEN, "needs a run")


def shuffle(on: Subject) -> Answer:
    """Judge the order of the examples."""
    order = on.recipe.shuffle
    if on.recipe.batch_size == FULL:
        return Answer(UNUSED, "the full batch has no order")
    return _is(order in ("reshuffle", "continued"), f"shuffle = {order}", "shuffle=reshuffle")


def batch(on: Subject) -> Answer:
    """Judge the size of the batches against the data; without data, against what is usual."""
    size = on.recipe.batch_size
    if on.recipe.optimizer.line_search:
        return Answer(UNUSED, "a line search needs the full batch")
    if isinstance(size, str) or size == 1:
        return Answer(MISSED, f"batch_size = {size}", ("batch_size=32",))
    if on.examples is None:
        return _is(size <= 2 * LARGE, f"batch_size = {size}", "batch_size=128")
    updates = math.ceil(on.examples / size)
    wanted = max(1, 2 ** int(math.log2(max(2, on.examples / FEW_UPDATES))))
    here = f"batch_size = {size}: {plural(updates, 'update')} an epoch"
    return _is(updates >= FEW_UPDATES, here, f"batch_size={wanted}")


def rate(on: Subject) -> Answer:
    """Judge the rate against its optimizer's default."""
    optimizer = on.recipe.optimizer
    described = type(optimizer).described()
    if "lr" not in described:
        return Answer(UNUSED, f"{optimizer.name} has no rate")
    default: Any = described["lr"].default
    rate = float(np.asarray(optimizer.lr)) * on.recipe.rate_factor()  # type: ignore[attr-defined]
    low, high = default / USUAL, default * USUAL
    here = f"rate {figure(rate, 3)}; usual for {optimizer.name}: {figure(low, 3)} to {figure(high, 3)}"
    return _is(low * 0.999 <= rate <= high * 1.001, here, f"optimizer.lr={default:g}")


def tuned(on: Subject) -> Answer:
    """Judge whether the rate was searched for."""
    found = on.result.get("finding")
    if found:
        return Answer(FOLLOWED, f"the rate was searched for: {figure(found['value'], 3)}")
    if on.problem is None:
        return NO_PROBLEM
    return Answer(MISSED, f"the rate was not searched for: {option('lr', 'auto')}")


def momentum(on: Subject) -> Answer:
    """Judge the update rule: anything but plain descent is momentum or adaptive."""
    optimizer = on.recipe.optimizer
    if isinstance(optimizer, GradientDescent):
        return Answer(MISSED, optimizer.name, ("optimizer=adam",))
    if not isinstance(optimizer, SGD):
        return Answer(FOLLOWED, optimizer.name)
    here = f"momentum {optimizer.momentum:g}" if optimizer.momentum else "plain SGD"
    return _is(bool(optimizer.momentum), here, "optimizer.momentum=0.9")


def decay(on: Subject) -> Answer:
    """Judge the end of the schedule, by its curve."""
    schedule = on.recipe.schedule
    if isinstance(schedule, Plateau):
        return Answer(FOLLOWED, "falls where the loss no longer does")
    rate = _rates(on)
    share = rate[-1] / rate.max()
    here = f"{schedule.name}: ends at {share:.0%} of the highest rate"
    return _is(share <= 0.5, here, "schedule=cosine")


def warmup(on: Subject) -> Answer:
    """Judge the start of the schedule, by its curve."""
    rate = _rates(on)
    share = rate[0] / rate.max()
    here = f"{on.recipe.schedule.name}: starts at {share:.0%} of the highest rate"
    change = "schedule=warmup" if isinstance(on.recipe.schedule, Constant) else "schedule=warmup-cosine"
    return _is(share <= 0.5, here, change)


def _rates(on: Subject) -> np.ndarray:
    """Return the factor of the learning rate over the run; without data, with 100 updates an epoch."""
    batch = on.recipe.batch_size
    one = 1 if isinstance(batch, str) else math.ceil((on.examples or EPOCH_STEPS * batch) / batch)
    factors = curve_of(on.recipe.schedule, on.recipe.length(one), one).rate.value
    return np.abs(np.asarray(factors)) + 1e-30


def scaling(on: Subject) -> Answer:
    """Judge whether the rate grows with a large batch."""
    size = on.recipe.batch_size
    if isinstance(size, str) or size <= LARGE:
        return Answer(UNUSED, f"batch_size = {size}")
    return _is(on.recipe.rate_rule != "none", f"rate_rule = {on.recipe.rate_rule}", "rate_rule=linear")


def clipping(on: Subject) -> Answer:
    """Judge whether gradients are clipped in any way."""
    limits = {name: getattr(on.recipe, name) for name in ("clip_norm", "clip_value", "agc")}
    given = {name: value for name, value in limits.items() if value is not None}
    here = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    return _is(bool(given), here or "no clipping", "clip_norm=1.0")


def weight_decay(on: Subject) -> Answer:
    """Judge whether weights decay."""
    optimizer = on.recipe.optimizer
    if "weight_decay" not in type(optimizer).described():
        return Answer(MISSED, f"{optimizer.name} has none", ("optimizer=adamw",))
    decay = getattr(optimizer, "weight_decay", None)
    decay = 0.0 if decay is None else float(np.asarray(decay))
    return _is(decay > 0, f"weight_decay = {decay:g}", "optimizer.weight_decay=0.01")


def averaging(on: Subject) -> Answer:
    """Judge whether weights are averaged."""
    average = on.recipe.averaging.name
    return _is(average != "none", f"averaging = {average}", "averaging=ema")


def stopping(on: Subject) -> Answer:
    """Judge whether overfitting ends the run, or the best weights are kept."""
    if on.recipe.patience is not None:
        return Answer(FOLLOWED, f"patience = {on.recipe.patience}")
    if on.problem is None:
        return Answer(MISSED, "no patience", ("patience=10",))
    held = on.problem["data"]["counts"].get("validation", 0)
    here = f"the weights of the best of {plural(held, 'validation example')} are kept"
    return _is(held > 0, here if held else "no validation split")


def inputs(on: Subject) -> Answer:
    """Judge whether inputs are standardised."""
    if on.problem is None:
        return NO_PROBLEM
    preparation = on.problem["data"].get("preparation") or {}
    columns = preparation.get("columns") or {}
    if columns.get("kind") == "text" or on.problem["data"].get("task") == "language":
        return Answer(UNUSED, "text")
    scales = [preparation.get("input_scale"), *(columns.get("scale") or [])]
    scaled = columns.get("kind") == "table" or any(scale not in (None, []) for scale in scales)
    return _is(scaled, "standardised" if scaled else "raw inputs")


def start(on: Subject) -> Answer:
    """Judge the initial weights against the activation."""
    if on.problem is None:
        return NO_PROBLEM
    settings = on.model or {}
    act, start = settings.get("activation"), settings.get("initialisation")
    if act is None or start is None or "/" in f"{act}{start}":
        return Answer(OPEN, "the model says no single activation and initialisation")
    bounded = act in ("tanh", "sigmoid", "softsign")
    wanted = ("xavier", "glorot", "lecun", "orthogonal") if bounded else ("he", "kaiming", "orthogonal")
    right = str(start).startswith(wanted)
    return _is(right, f"{start} before {act}" if right else f"{start} before {act}, not {wanted[0]}")


def depth(on: Subject) -> Answer:
    """Judge what helps gradients through a deep network."""
    if on.problem is None:
        return NO_PROBLEM
    layers, settings = on.layers, on.model
    if layers < DEEP:
        return Answer(UNUSED, f"{plural(layers, 'layer')} of weights")
    if settings is None:
        return Answer(OPEN, "a model class of your own")
    if settings["name"] in ("gpt", "resnet"):
        return Answer(FOLLOWED, f"{settings['name']} has residual layers")
    norm, skip = settings.get("normalisation", "none"), bool(settings.get("skip"))
    here = f"{plural(layers, 'layer')}, normalisation {norm}, {'with' if skip else 'no'} skips"
    return _is(skip or norm != "none", here)


def small_norm(on: Subject) -> Answer:
    """Judge the smallest batch that batch norm sees."""
    if on.problem is None:
        return NO_PROBLEM
    if (on.model or {}).get("normalisation") != "batch":
        return Answer(UNUSED, "no batch norm")
    size = on.recipe.batch_size
    if isinstance(size, str):
        return Answer(FOLLOWED, "the full batch")
    size //= on.recipe.accumulate
    rest = (on.examples or 0) % size
    short = rest if on.recipe.last_batch == "keep" and rest else size
    here = f"the smallest batch has {plural(short, 'example')}"
    change = ("batch_size=32",) if size < SMALLEST_NORMED else ("last_batch=drop",)
    return _is(min(size, short) >= SMALLEST_NORMED, here, *change)


def dropout(on: Subject) -> Answer:
    """Judge whether a model that is large against its data has dropout."""
    if on.problem is None or not on.examples:
        return NO_PROBLEM
    ratio = on.problem["model"]["parameters"] / on.examples
    here = f"{figure(ratio, 2)} parameters for each training example"
    if ratio <= LARGE_MODEL:
        return Answer(UNUSED, here)
    share = (on.model or {}).get("dropout", 0.0)
    return _is(bool(share), f"{here}, dropout {share:g}")


def loss(on: Subject) -> Answer:
    """Judge the loss of a classifier."""
    if on.problem is None:
        return NO_PROBLEM
    loss, task = str(on.problem.get("loss")), on.problem["data"].get("task")
    if task != "classification":
        return Answer(UNUSED, f"task: {task}")
    here = f"{loss} of {on.problem.get('outputs', 'an objective')}"
    return _is("cross_entropy" in loss and on.problem.get("outputs") == "logits", here)
