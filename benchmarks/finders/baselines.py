"""Who picks a rate: the finder at several budgets, and what people do today.

Range tests are `tw.range_test`'s: the steepest fall of the textbook's test (from 1e-8, doubled after each
batch), and fastai's three readings of fastai's own (`FASTAI`). Random search draws `DRAWS` rates evenly over
the logarithm of `WIDE`, runs each once for its full length and takes the one of lowest validation loss.
Prodigy needs no rate, so it replaces the recipe's rule and keeps all else. PyTorch's defaults are those of
its signatures; for rules that it lacks, the rule's own default here, which is its authors'.
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
# Rules whose decay is apart from the gradient, as Prodigy's.
DECOUPLED = ("adamw", "lamb", "lion", "muon", "schedule-free-adamw")


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Args:
        label: What it is called there.
        pick: Asks it about a task.
        sources: Files of the package that it is made of, as patterns: where they change, so may its picks.
    """

    label: str
    pick: Callable[[Task], Pick]
    sources: tuple[str, ...] = ()


def own(task: Task) -> Pick:
    """Leave the recipe as it is."""
    return Pick(rate_of(task.recipe))


def pytorch(task: Task) -> Pick:
    """Take PyTorch's default for this rule."""
    rule = task.recipe.optimizer.name
    return Pick(PYTORCH.get(rule, rate_of(tw.Recipe(tw.OPTIMIZERS[rule]()))))


def prodigy(task: Task) -> Pick:
    """Let Prodigy learn in place of the recipe's rule, with decoupled decay where that had one."""
    rule = task.recipe.optimizer
    decay = getattr(rule, "weight_decay", None) if rule.name in DECOUPLED else None
    recipe = tw.Recipe.from_dict(
        task.recipe.to_dict() | {"optimizer": {"name": "prodigy", "weight_decay": float(decay or 0.0)}}
    )
    return Pick(None, losses=ran(task, [_seeded(recipe, seed) for seed in SEEDS]))


def random_search(task: Task) -> Pick:
    """Run ten rates, drawn from a wide range, and take the one that came out best."""
    begun = time.perf_counter()
    stream = np.random.default_rng(int(hashlib.sha256(task.name.encode()).hexdigest()[:8], 16))
    low, high = np.log(WIDE)
    rates = [float(f"{rate:.6g}") for rate in np.exp(stream.uniform(low, high, DRAWS))]
    losses = ran(task, [with_rate(task.recipe, rate) for rate in rates])
    best = rates[int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))]
    return Pick(best, steps=DRAWS * task.steps, seconds=time.perf_counter() - begun)


def range_test(reading: str, task: Task) -> Pick:
    """Return what one way of reading a range test says; the recipe's own rate where it has no answer."""
    found = _tested(task, fastai=reading != "steepest")
    rate = getattr(found, reading)
    standing = "" if rate is not None else "no answer"
    return Pick(
        rate or rate_of(task.recipe), steps=found.cost.steps, standing=standing, seconds=found.cost.seconds
    )


@cache
def _tested(task: Task, fastai: bool) -> tw.RangeTest:
    """Run a range test once for all its readings."""
    return tw.range_test(task.problem(), task.recipe, **(FASTAI if fastai else {}))


def found(share: float | None, task: Task) -> Pick:
    """Ask the finder."""
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
    """Return all, by short name, in the order of the table."""
    rows = {
        "found": Method("find_lr, its own budget", partial(found, None), FINDER),
        "ten": Method("find_lr, ten runs", partial(found, 10.0), FINDER),
        "run": Method("find_lr, one run", partial(found, 1.0), FINDER),
        "tenth": Method("find_lr, a tenth of a run (`--lr auto`)", partial(found, 0.1), FINDER),
        "own": Method("the recipe's own rate", own),
        "pytorch": Method("PyTorch's default", pytorch),
    }
    rows |= {name: Method(f"range test, {name}", partial(range_test, name), RANGE_TEST) for name in READINGS}
    rows["prodigy"] = Method("Prodigy", prodigy)
    rows["random"] = Method("random search, ten runs", random_search)
    return rows


def at_rates(task: Task, rates: list[float]) -> dict[float, np.ndarray]:
    """Run rates that the truth does not hold with every seed, all in one call."""
    recipes = [with_rate(task.recipe, rate, seed=seed) for rate in rates for seed in SEEDS]
    losses = ran(task, recipes) if recipes else np.zeros(0)
    return dict(zip(rates, losses.reshape(-1, len(SEEDS)), strict=True))


def ran(task: Task, recipes: list[tw.Recipe]) -> np.ndarray:
    """Return the lanes' losses; NaN for one that diverged."""
    table = tw.train(task.problem(), recipes).table
    return np.array(
        [
            math.nan if stopped == "diverged" or loss is None else loss
            for stopped, loss in table.select("stopped", "validation_loss").iter_rows()
        ]
    )


def _seeded(recipe: tw.Recipe, seed: int) -> tw.Recipe:
    return tw.Recipe.from_dict(recipe.to_dict() | {"seed": seed})
