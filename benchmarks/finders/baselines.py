"""The methods that are compared: the finder at several budgets, and common alternatives.

Range tests are those of `tw.range_test`: the steepest descent of the textbook's test (from 1e-8, doubled
after each batch), and the three readings of fastai's test (`FASTAI`). Random search draws `DRAWS` rates,
uniform in the logarithm over `WIDE`, runs each once at full length and takes the one with the lowest
validation loss. Prodigy needs no rate: it replaces the recipe's optimizer and keeps everything else.
PyTorch's defaults are those of its signatures; an optimizer that PyTorch lacks keeps its default here, which
is its authors'.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

import thalweg as tw
from benchmarks.finders.scores import Pick
from benchmarks.finders.tasks import Task, rate_of, with_rate
from benchmarks.finders.truth import SEEDS

DRAWS, WIDE = 10, (1e-6, 10.0)
# fastai's lr_find: a hundred updates from 1e-7 to 10.
FASTAI = {"start": 1e-7, "factor": 10 ** (8 / 99), "end": 10.0}
READINGS = ("steepest", "valley", "minimum", "slide")
FINDER = ("insight/finder/*.py",)
RANGE_TEST = ("insight/finder/range_sweep.py",)
# PyTorch 2.13, `inspect.signature(torch.optim...)`.
PYTORCH = {
    "sgd": 1e-3,
    "adam": 1e-3,
    "adamw": 1e-3,
    "rmsprop": 1e-2,
    "adagrad": 1e-2,
    "nadam": 2e-3,
    "radam": 1e-3,
    "adamax": 2e-3,
    "muon": 1e-3,
}
# Optimizers whose weight decay is decoupled from the gradient, as Prodigy's is.
DECOUPLED = ("adamw", "lamb", "lion", "muon", "schedule-free-adamw")


@dataclass(frozen=True)
class Method:
    """One row of the scoreboard.

    Args:
        label: Its name in the table.
        pick: Returns its pick for a task.
        sources: Glob patterns of the package files that determine its picks, which are reused until one
            changes.
    """

    label: str
    pick: Callable[[Task], Pick]
    sources: tuple[str, ...] = ()


def own(task: Task) -> Pick:
    """Keep the recipe's own rate."""
    return Pick(rate_of(task.recipe))


def pytorch(task: Task) -> Pick:
    """Use PyTorch's default for the recipe's optimizer."""
    rule = task.recipe.optimizer.name
    return Pick(PYTORCH.get(rule, rate_of(tw.Recipe(tw.OPTIMIZERS[rule]()))))


def prodigy(task: Task) -> Pick:
    """Replace the recipe's optimizer by Prodigy, with decoupled weight decay if the optimizer had it."""
    rule = task.recipe.optimizer
    decay = getattr(rule, "weight_decay", None) if rule.name in DECOUPLED else None
    recipe = tw.Recipe.from_dict(
        task.recipe.to_dict() | {"optimizer": {"name": "prodigy", "weight_decay": float(decay or 0.0)}}
    )
    return Pick(None, losses=ran(task, [_seeded(recipe, seed) for seed in SEEDS]))


def random_search(task: Task) -> Pick:
    """Run ten rates drawn from a wide range, and pick the one with the lowest loss."""
    start = time.perf_counter()
    stream = np.random.default_rng(int(hashlib.sha256(task.name.encode()).hexdigest()[:8], 16))
    low, high = np.log(WIDE)
    rates = [float(f"{rate:.6g}") for rate in np.exp(stream.uniform(low, high, DRAWS))]
    losses = ran(task, [with_rate(task.recipe, rate) for rate in rates])
    best = rates[int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))]
    return Pick(best, steps=DRAWS * task.steps, seconds=time.perf_counter() - start)


def range_test(reading: str, task: Task) -> Pick:
    """Return the rate that one reading of a range test gives; the recipe's own rate if it gives none."""
    test = _tested(task, fastai=reading != "steepest")
    rate = getattr(test, reading)
    status = "" if rate is not None else "no answer"
    return Pick(
        rate or rate_of(task.recipe), steps=test.cost.steps, standing=status, seconds=test.cost.seconds
    )


@cache
def _tested(task: Task, fastai: bool) -> tw.RangeTest:
    """Run a range test once for all of its readings."""
    return tw.range_test(task.problem(), task.recipe, **(FASTAI if fastai else {}))


def finder(share: float | None, task: Task) -> Pick:
    """Return the pick of `tw.find_lr`."""
    finding = tw.find_lr(task.problem(), task.recipe, share=share)
    return Pick(
        finding.value if finding.value is not None else rate_of(task.recipe),
        finding.low,
        finding.high,
        finding.cost.steps,
        standing=finding.standing,
        seconds=finding.cost.seconds,
    )


def methods() -> dict[str, Method]:
    """Return all methods by short name, in the order of the table."""
    rows = {
        "found": Method("find_lr, default budget", partial(finder, None), FINDER),
        "ten": Method("find_lr, ten runs", partial(finder, 10.0), FINDER),
        "run": Method("find_lr, one run", partial(finder, 1.0), FINDER),
        "tenth": Method("find_lr, a tenth of a run (`--lr auto`)", partial(finder, 0.1), FINDER),
        "own": Method("the recipe's own rate", own),
        "pytorch": Method("PyTorch's default", pytorch),
    }
    rows |= {name: Method(f"range test, {name}", partial(range_test, name), RANGE_TEST) for name in READINGS}
    rows["prodigy"] = Method("Prodigy", prodigy)
    rows["random"] = Method("random search, ten runs", random_search)
    return rows


def at_rates(task: Task, rates: list[float]) -> dict[float, np.ndarray]:
    """Run rates that the ground truth does not contain, with every seed, in one call."""
    recipes = [with_rate(task.recipe, rate, seed=seed) for rate in rates for seed in SEEDS]
    losses = ran(task, recipes) if recipes else np.zeros(0)
    return dict(zip(rates, losses.reshape(-1, len(SEEDS)), strict=True))


def ran(task: Task, recipes: list[tw.Recipe]) -> np.ndarray:
    """Return the losses of the lanes; NaN for a lane that diverged."""
    table = tw.train(task.problem(), recipes).table
    return np.array(
        [
            math.nan if stopped == "diverged" or loss is None else loss
            for stopped, loss in table.select("stopped", "validation_loss").iter_rows()
        ]
    )


def _seeded(recipe: tw.Recipe, seed: int) -> tw.Recipe:
    return tw.Recipe.from_dict(recipe.to_dict() | {"seed": seed})
