"""`race`: which optimizer, or which model, is best on a problem.

Every contestant gets the same number of trainings of the same length: some to tune its own settings over a
space that does not depend on the task, the rest with seeds that all contestants share. A contestant is judged
by its validation figure at one update, found in tuning, which is the same for all of its seeds. The test
split is not used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.arguments import checked
from thalweg.core.caller import argument, option
from thalweg.core.errors import BadInput, RecipeError
from thalweg.core.stop_reason import ENDING_SETTINGS, StopReason
from thalweg.engine.group import length
from thalweg.insight.curves import evaluated
from thalweg.insight.race.result import Contestant, Race, Tried
from thalweg.insight.race.space import Space, tuned_settings
from thalweg.insight.race.verdict import FAST_LOOKS, LEVEL, compare
from thalweg.insight.trials import validation_only
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.models import parse
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.optimizers import OPTIMIZERS, Optimizer, as_optimizer, is_rule
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import with_setting
from thalweg.recipe.vary import quasi_random
from thalweg.run.progress import Progress, listener
from thalweg.run.run import Run
from thalweg.run.train import plan, train

OPTIMIZERS_RACED = ("adamw", "sgd", "muon")
# Trainings of one contestant by default, and the least: of these `TUNING` tune it, or half.
BUDGET, LEAST, TUNING, FIRST_STAGE = 30, 10, 10, 5
# Seeds between two looks; fewer would compile as many programs for less work.
SEEDS = 5
# Seeds of tuning are far from those of the race.
TUNING_SEED = 10_000
ENDINGS = dict.fromkeys(name for name in ENDING_SETTINGS if name not in ("epochs", "steps"))


@checked(BadInput)
def race(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    optimizers: Sequence[Any] | str | None = None,
    models: Sequence[Any] | str | None = None,
    budget: int = BUDGET,
    fast: bool = False,
    progress: Progress | Any = None,
) -> Race:
    """Race optimizers, or models, on a problem: equal budgets including tuning, a verdict for every pair.

    Args:
        problem: What is learned; it needs a validation split, on which contestants are compared by the loss,
            or by a metric that was given.
        recipe: What all contestants share: batch size, schedule, length and so on; None for the default of
            the data. What ends a run early, such as `patience`, is left out.
        optimizers: Names (`adamw`, or `"adamw,sgd"`) or rules; without models by default adamw, sgd, muon.
        models: Models instead of optimizers: specifications (`mlp:64`) or architectures; each is tuned.
        budget: Trainings that each contestant may spend, at least 10. Up to ten of them, at most half, tune
            its rate, momentum and weight decay; each of the others has a seed that all contestants share.
        fast: Look at 5, 10 and 20 seeds only, with Student's t test, rather than after every five with an
            e-process: more power, and no other looks.
        progress: As for `train`.

    Returns:
        Contestants with their curves, what tuning tried, and a verdict for every pair: `cannot tell`
        unless the seeds show a difference. The race ends when all pairs are settled or the budget is spent.

    Raises:
        BadInput: Fewer than two contestants, an unknown one, a budget that is too small, or data without a
            validation split.

    Example:
        >>> result = tw.race(tw.Problem(tw.MLP([64, 32, 10]), "digits"), optimizers=["adamw", "sgd"])
        >>> result.winner
    """
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    _check(problem, base, budget)
    entered = _entered(problem, replace(base, **ENDINGS), optimizers, models)
    for entrant in entered:
        plan(entrant.problem, [entrant.space.recipe])  # mistakes raise before anything is trained
    held = _Running(listener(progress), problem.metric, problem.select == "metric")
    tuning = min(TUNING, budget // 2)
    _tune(entered, tuning, base.seed, held)
    racing = [entrant for entrant in entered if entrant.best is not None]
    pairs: list[Any] = []
    looks = _looks(budget - tuning, fast)
    for first, last in zip([0, *looks], looks, strict=False):
        seeds = [base.seed + number for number in range(first, last)]
        if held.interrupted or len(racing) < 2:
            break
        _train(racing, {id(each): [replace(_of(each), seed=seed) for seed in seeds] for each in racing}, held)
        if held.interrupted:
            break
        pairs = compare({each.name: _values(each, racing, held) for each in racing}, held.higher, fast)
        if all(pair.winner is not None for pair in pairs):
            break
    return _result(problem, base, entered, pairs, held, (tuning, budget, fast))


@dataclass
class _Entrant:
    """A contestant on its way.

    Attributes:
        tried: What tuning trained: recipe, and the curve of its figure (None where it diverged).
        best: The tuned recipe; None where nothing trained.
        stop: Number of the evaluation at which it is judged.
        curves: Figure at each evaluation, one row for each seed of the race; None where it diverged.
    """

    name: str
    problem: Problem
    space: Space
    tried: list[tuple[Recipe, np.ndarray | None]]
    best: Recipe | None = None
    stop: int = 0
    curves: list[np.ndarray | None] | None = None
    steps: np.ndarray | None = None
    seconds: float = 0.0
    updates: int = 0


class _Running:
    """What the trainings of a race share.

    Args:
        progress: The listener.
        metric: The metric of the headline.
        by_metric: Whether contestants are compared by it, rather than by the loss.
    """

    def __init__(self, progress: Progress, metric: Any, by_metric: bool):
        self.progress = progress
        self.column = "metric" if by_metric else "loss"
        self.name = metric.name if by_metric else "loss"
        self.higher = bool(by_metric and metric.higher_is_better)
        self.interrupted = False

    @property
    def sign(self) -> float:
        """-1 where more is better."""
        return -1.0 if self.higher else 1.0


def _check(problem: Problem, recipe: Recipe, budget: int) -> None:
    if isinstance(problem.data, FoldedData):
        rule, hint = "is on one division of the data", "load them without folds"
        raise RecipeError("race", rule, got=f"{len(problem.data.folds)} folds", hint=hint)
    if "validation" not in problem.data.splits:
        hint = f"load the data with {option('validation', 0.1)}"
        raise RecipeError("race", "needs a validation split to compare on", got="none", hint=hint)
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < LEAST:
        rule = f"must be at least {LEAST} trainings for each contestant: five to tune it, five seeds"
        raise RecipeError(argument("budget"), rule, got=budget, hint=f"try {option('budget', BUDGET)}")


def _entered(problem: Problem, base: Recipe, optimizers: Any, models: Any) -> list[_Entrant]:
    """Return the contestants, with names that differ.

    Raises:
        RecipeError: There are both optimizers and models, fewer than two, or one twice.
    """
    if optimizers is None and models is None:
        optimizers = OPTIMIZERS_RACED
    optimizers, models = _several(optimizers, "optimizers"), _several(models, "models")
    if optimizers and models:
        rule, hint = "takes optimizers or models, not both", "race the models with one optimizer first"
        raise RecipeError("race", rule, got=f"{len(optimizers)} and {len(models)}", hint=hint)
    found: list[_Entrant] = []
    smaller = validation_only(problem)
    if models:
        for model in models:
            own = replace(smaller, model=parse(model) if isinstance(model, str) else model, name=None)
            found.append(_Entrant(own.model_name, own, Space.of(_with_optimizer(base, base.optimizer)), []))
    else:
        for given in optimizers:
            rule = OPTIMIZERS[given]() if isinstance(given, str) and given in OPTIMIZERS else given
            rule = _known(as_optimizer(_known(rule)))
            found.append(_Entrant(rule.name, smaller, Space.of(_with_optimizer(base, rule)), []))
    names = [entrant.name for entrant in found]
    if len(names) < 2 or len(set(names)) < len(names):
        rule = "needs at least two contestants that differ"
        raise RecipeError("race", rule, got=", ".join(names) or "none", hint="for example adamw and sgd")
    return found


def _several(given: Any, what: str) -> list[Any]:
    if isinstance(given, str):  # a model's own settings contain commas; the command line splits them
        return [word.strip() for word in given.split(",") if word.strip()]
    if given is None:
        return []
    if not isinstance(given, Iterable) or isinstance(given, dict):
        hint = option(what, ["adamw", "sgd"])
        raise RecipeError(argument(what), "must be a list", got=given, hint=hint)
    return list(given)


def _known(rule: Any) -> Any:
    """Return a rule, or the error for a name that no optimizer has."""
    if isinstance(rule, str):
        Recipe.from_dict({"optimizer": {"name": rule}}, where="race")  # it names the nearest
    elif not isinstance(rule, Optimizer) and not is_rule(rule):
        hint = option("optimizers", ["adamw", "sgd"])
        raise RecipeError("race", "optimizers must be names or rules", got=rule, hint=hint)
    return rule


def _with_optimizer(base: Recipe, rule: Any) -> Recipe:
    """Return the shared recipe with an optimizer; the registry's numbers of a name."""
    return Recipe.from_dict(with_setting(base.to_dict(), "optimizer", {"name": rule.name} | rule.to_dict()))


def _looks(seeds: int, fast: bool) -> list[int]:
    """Return the numbers of seeds after which the race is looked at; the last are all that may be spent."""
    if fast:
        return [look for look in FAST_LOOKS if look <= seeds]
    return [*range(SEEDS, seeds, SEEDS), seeds]


def _of(entrant: _Entrant) -> Recipe:
    assert entrant.best is not None
    return entrant.best


def _tune(entered: list[_Entrant], tuning: int, seed: int, held: _Running) -> None:
    """Tune every contestant: rates first, then around the best of them; set `best` and `stop`."""
    first = min(FIRST_STAGE, tuning)
    points = quasi_random(max(1, tuning - first), 3, seed)
    own = seed + TUNING_SEED
    _train_tried(entered, {id(each): each.space.rates(first) for each in entered}, own, held)
    near = {}
    for entrant in entered:
        best = _lowest(entrant, held)
        count = tuning - first
        near[id(entrant)] = entrant.space.near(entrant.space.recipe if best is None else best[0], points)[
            :count
        ]
    if tuning > first and not held.interrupted:
        _train_tried(entered, near, own, held)
    for entrant in entered:
        best = _lowest(entrant, held)
        if best is not None:
            entrant.best, entrant.stop = best[0], best[1]


def _lowest(entrant: _Entrant, held: _Running) -> tuple[Recipe, int] | None:
    """Return the best recipe that was tried, and the evaluation at which it was best; None without one."""
    usable = [(recipe, held.sign * curve) for recipe, curve in entrant.tried if curve is not None]
    if not usable:
        return None
    recipe, curve = min(usable, key=lambda pair: float(np.nanmin(pair[1])))
    return recipe, int(np.nanargmin(curve))


def _train_tried(
    entered: list[_Entrant], recipes: dict[int, list[Recipe]], seed: int, held: _Running
) -> None:
    seeded = {key: [replace(recipe, seed=seed) for recipe in own] for key, own in recipes.items()}
    for entrant, runs in _trained(entered, seeded, held):
        for run in runs:
            entrant.tried.append((run.recipe, _curve(entrant, run, held)))


def _train(racing: list[_Entrant], recipes: dict[int, list[Recipe]], held: _Running) -> None:
    for entrant, runs in _trained(racing, recipes, held):
        entrant.curves = (entrant.curves or []) + [_curve(entrant, run, held) for run in runs]


def _trained(
    entered: list[_Entrant], recipes: dict[int, list[Recipe]], held: _Running
) -> Iterable[tuple[_Entrant, list[Run]]]:
    """Train the recipes of all contestants as lanes, those on one problem together."""
    for problem in {id(each.problem): each.problem for each in entered}.values():
        own = [each for each in entered if each.problem is problem]
        lanes = [(each, recipe) for each in own for recipe in recipes[id(each)]]
        if held.interrupted or not lanes:
            return
        runs = train(problem, [recipe for _, recipe in lanes], progress=held.progress)
        held.interrupted |= any(run.result["stopped"] == StopReason.INTERRUPTED for run in runs)
        if held.interrupted:  # half a run is no figure
            return
        for entrant in own:
            its = [run for (each, _), run in zip(lanes, runs, strict=True) if each is entrant]
            entrant.seconds += sum(run.result["seconds"]["train"] for run in its)
            entrant.updates += sum(int(run.result["steps"]) for run in its)
            yield entrant, its


def _curve(entrant: _Entrant, run: Run, held: _Running) -> np.ndarray | None:
    """Return the figure at each evaluation; None for a run that diverged."""
    curve = evaluated(run.record, "validation", held.column)
    if run.result["stopped"] == StopReason.DIVERGED or not np.isfinite(curve.value).all():
        return None
    entrant.steps = np.asarray(curve.step)
    return np.asarray(curve.value, np.float64)


def _values(entrant: _Entrant, racing: list[_Entrant], held: _Running) -> list[float]:
    """Return the figure of each seed at the stop; of a run that diverged the race's worst at any time."""
    known = [curve for each in racing for curve in each.curves or () if curve is not None]
    worst = float("nan")
    if known:
        everything = np.concatenate(known)
        worst = float(everything.min() if held.higher else everything.max())
    return [worst if curve is None else float(curve[entrant.stop]) for curve in entrant.curves or ()]


def _result(
    problem: Problem,
    base: Recipe,
    entered: list[_Entrant],
    pairs: list[Any],
    held: _Running,
    spent: tuple[int, int, bool],
) -> Race:
    tuning, budget, fast = spent
    racing = [entrant for entrant in entered if entrant.best is not None]
    contestants = tuple(_contestant(entrant, racing, held) for entrant in entered)
    return Race(
        problem.data.name,
        held.name,
        held.higher,
        contestants,
        tuple(pairs),
        tuning=tuning,
        budget=budget,
        steps=length(problem, base),
        fast=fast,
        level=LEVEL,
        interrupted=held.interrupted,
        target=_target(racing, held),
    )


def _contestant(entrant: _Entrant, racing: list[_Entrant], held: _Running) -> Contestant:
    curves = [curve for curve in entrant.curves or () if curve is not None]
    mean = np.mean(curves, axis=0) if curves else np.zeros(0)
    steps = np.zeros(0) if entrant.steps is None else entrant.steps
    target = _target(racing, held)
    reached = [] if target is None else [_first_at(curve, steps, target, held) for curve in curves]
    paths = (entrant.space.momentum, entrant.space.decay)
    best = [] if entrant.best is None else _values(entrant, racing, held)
    return Contestant(
        entrant.name,
        entrant.best,
        None if entrant.best is None else tuned_settings(entrant.best, paths),
        tuple(best),
        diverged=sum(curve is None for curve in entrant.curves or ()),
        stop=int(steps[entrant.stop]) if len(steps) else None,
        steps=tuple(steps.tolist()),
        curve=tuple(mean.tolist()),
        reached=tuple(reached),
        step_seconds=entrant.seconds / entrant.updates if entrant.updates else None,
        updates=entrant.updates,
        tried=tuple(
            Tried(
                tuned_settings(recipe, paths),
                None if curve is None else float(held.sign * np.nanmin(held.sign * curve)),
            )
            for recipe, curve in entrant.tried
        ),
    )


def _target(racing: list[_Entrant], held: _Running) -> float | None:
    """Return the figure that every contestant reaches on average: that of the worst of them at its stop."""
    means = [float(np.mean(_values(each, racing, held))) for each in racing if each.curves]
    return max(means, key=lambda mean: held.sign * mean) if means else None


def _first_at(curve: np.ndarray, steps: np.ndarray, target: float, held: _Running) -> int | None:
    """Return the first evaluated update at which a curve has reached the target; None if it never does."""
    good = np.flatnonzero(held.sign * curve <= held.sign * target)
    return int(steps[good[0]]) if len(good) else None
