"""Counterfactual arms: plans trained as lanes beside the base, paired over seeds, and their results.

All training goes through `insight.trials`. Arms that differ in numbers only share one program; each change of
the model's structure compiles one, and that is most of what a diagnosis costs: it is compiled fast. Whatever
an arm changes, it is scored by the metric of the problem as it was diagnosed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from thalweg.core.compiler import fast_compilation
from thalweg.core.stop_reason import StopReason
from thalweg.engine.group import length
from thalweg.insight.doctor.anatomy import Anatomy, given, held_of, passed
from thalweg.insight.doctor.plan import Move, Plan, planned
from thalweg.insight.intervals import sequential
from thalweg.insight.trials import Variant, run_trials
from thalweg.problem.models.adapter import PartitionedModel, fixed_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.restore import Trained

# Values of a curve that are kept: enough to draw it and to see where it falls.
BINS = 40
# A jump of the loss to this many times its running median, within one bin.
JUMP = 3.0
# Rows held out below which the training rows decide: a single row would be worth too much.
FEWEST_HELD = 20
# Share of the gap that a proof recovers.
HALF = 0.5
BASE = "base"


@dataclass(frozen=True)
class Result:
    """What the lanes of a plan gave, one entry for each seed.

    Args:
        name: Of the arm.
        values, train_values: The metric on the rows that decide, and on training rows.
        curves: The training loss, averaged in bins.
        diverged_at: The update at which a lane diverged; None where it did not.
        steps: Updates of each lane.
        modules: The trained modules.
        constant, ceiling: What the constant predictor and the best that is known reach.
        lowest: The lowest loss of a batch.
    """

    name: str
    values: tuple[float, ...]
    train_values: tuple[float, ...]
    curves: tuple[np.ndarray, ...]
    diverged_at: tuple[int | None, ...]
    steps: int
    modules: tuple[PartitionedModel, ...] = field(repr=False)
    constant: float = 0.0
    ceiling: float = 1.0
    lowest: float = 0.0

    @property
    def score(self) -> float:
        """Mean of the metric."""
        return float(np.mean(self.values))

    @property
    def train_score(self) -> float:
        """Mean of the metric on training rows."""
        return float(np.mean(self.train_values))

    @property
    def diverged(self) -> tuple[bool, ...]:
        """Which lanes diverged."""
        return tuple(step is not None for step in self.diverged_at)

    def share(self, value: float) -> float:
        """Return what is missing to the ceiling, as a share of its distance from the constant."""
        span = self.ceiling - self.constant
        return (self.ceiling - value) / span if span > 0 else 0.0

    @property
    def gap(self) -> float:
        """Share of what the data allow that the mean misses."""
        return self.share(self.score)

    @property
    def unlike(self) -> bool:
        """Whether some seeds train and others do not."""
        shares = [self.share(value) for value in self.values]
        return max(shares) - min(shares) > 0.4

    @property
    def text(self) -> str:
        """The values, for people."""
        words = "diverged in " if any(self.diverged) else ""
        count = f"{sum(self.diverged)} of {len(self.values)} seeds; " if words else ""
        return f"{words}{count}{', '.join(f'{value:.3g}' for value in self.values)}"

    @property
    def mean_curve(self) -> np.ndarray:
        """The curve over seeds that did not diverge; of all, where all did."""
        good = [
            curve for curve, bad in zip(self.curves, self.diverged, strict=True) if not bad and len(curve)
        ]
        if not good:
            return np.zeros(0)
        least = min(len(curve) for curve in good)  # a lane that ends early may have fewer bins
        return np.mean([curve[:least] for curve in good], axis=0)

    @property
    def fall(self) -> float:
        """How far the loss fell, relative to its start."""
        curve = self.mean_curve
        if len(curve) < 4 or not np.isfinite(curve).all():
            return 0.0
        return float((curve[0] - curve[-1]) / max(abs(curve[0]), 1e-12))

    @property
    def falling(self) -> float:
        """The share of the fall that the last quarter brought; 0 where the loss did not fall."""
        curve = self.mean_curve
        if len(curve) < 8 or self.fall < 1e-4:
            return 0.0
        quarter = len(curve) // 4
        recent = np.mean(curve[-2 * quarter : -quarter]) - np.mean(curve[-quarter:])
        return float(recent / (curve[0] - curve[-1]))

    @property
    def swing(self) -> float:
        """Mean change from bin to bin in the second half, relative to the fall."""
        curve = self.mean_curve
        if len(curve) < 8:
            return 0.0
        second = curve[len(curve) // 2 :]
        return float(np.mean(np.abs(np.diff(second))) / max(abs(curve.max() - curve.min()), 1e-12))

    @property
    def noise(self) -> float:
        """How much batches differ, relative to the start: mean change from bin to bin in the second half."""
        curve = self.mean_curve
        if len(curve) < 8:
            return 0.0
        return float(np.mean(np.abs(np.diff(curve[len(curve) // 2 :]))) / max(abs(curve[0]), 1e-12))

    @property
    def spikes(self) -> int:
        """Sudden jumps of the loss after a stable phase."""
        count = 0
        for curve in self.curves:
            for at in range(6, len(curve)):
                before = np.median(curve[at - 5 : at])
                count += bool(curve[at] > JUMP * before > 0 and curve[at] > 0.3 * curve[0])
        return count


@dataclass
class Bench:
    """Trains plans, and counts what it costs.

    Args:
        anatomy: The problem.
        seeds: Seeds of the lanes.
        progress: Receives the progress of training.
        constant, ceiling: For the results.
    """

    anatomy: Anatomy
    seeds: tuple[int, ...]
    progress: Progress | None = None
    constant: float = 0.0
    ceiling: float = 1.0
    updates: int = 0
    compile_seconds: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    _problems: dict[tuple[Any, ...], Problem] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Updates of the diagnosed recipe."""
        return length(self.anatomy.problem, self.anatomy.recipe)

    @property
    def trainings(self) -> float:
        """Updates so far, in trainings of the diagnosed recipe."""
        return self.updates / max(1, self.total)

    @property
    def held(self) -> bool:
        """Whether validation rows decide."""
        return self.anatomy.held is not None and self.anatomy.held.distinct >= FEWEST_HELD

    def built(self, moves: tuple[Move, ...]) -> tuple[Problem, Recipe]:
        """Return the problem and the recipe of moves; equal changes give the same problem object."""
        key = tuple(str(move.change.to_dict()) for move in moves if move.change.group != "optimisation")
        key += tuple(
            str(m.change.to_dict())
            for m in moves
            if m.change.where == "loss" and m.change.group == "optimisation"
        )
        plan: Plan = planned(self.anatomy.recipe, moves, self.anatomy.leaf)
        if key not in self._problems:
            self._problems[key] = plan.build(self.anatomy.problem)[0] if key else self.anatomy.problem
        return self._problems[key], plan.recipe

    def run(
        self,
        arms: Sequence[tuple[str, tuple[Move, ...]]],
        steps: int | None,
        *,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, Result]:
        """Train arms; those whose model cannot be built or traced are left out, and named.

        Args:
            arms: A name and the moves of each; no moves for the base.
            steps: Length of each lane; None for the whole run.
            seeds: Other seeds than the bench's.
        """
        seeds = tuple(self.seeds if seeds is None else seeds)
        results: dict[str, Result] = {}
        for problem, group in self._grouped(arms).items():
            light = _light(problem.problem, [recipe for _, recipe in group], steps is None)
            variants = [Variant(name, recipe) for name, recipe in group]
            try:
                with fast_compilation():
                    trials = run_trials(light, variants, seeds, steps, total=None, progress=self.progress)
            except Exception as error:  # the user's code, called with a changed model, may raise anything
                if any(name == BASE for name, _ in group):
                    raise
                self.left_out |= dict.fromkeys((name for name, _ in group), _line(error))
                continue
            self.updates += trials.lane_steps
            self.compile_seconds += max(
                (r.result["seconds"].get("compile", 0.0) for s in trials.sweeps for r in s), default=0.0
            )
            runs = [run for sweep in trials.sweeps for run in sweep]
            for number, (name, _) in enumerate(group):
                own = runs[number * len(seeds) : (number + 1) * len(seeds)]
                results[name] = self._result(name, light, own, held_of(self.anatomy, problem.problem))
        return {name: results[name] for name, _ in arms if name in results}

    def of_run(self, name: str, trained: Trained) -> Result:
        """Return the result of a run that was trained before, as a lane of its own."""
        record, built = trained.record, trained.built
        recipe = replace(self.anatomy.recipe, seed=int(record.recipe.get("seed", self.anatomy.recipe.seed)))
        run = _Finished(recipe, built.params, built.model_state, record, record.result)
        return self._result(name, self.anatomy.problem, [run], self.anatomy.held)

    def _grouped(self, arms: Sequence[tuple[str, tuple[Move, ...]]]) -> dict[Any, list[tuple[str, Recipe]]]:
        groups: dict[_ById, list[tuple[str, Recipe]]] = {}
        for name, moves in arms:
            try:
                problem, recipe = self.built(moves)
            except Exception as error:  # building calls the user's code, too
                if name == BASE:
                    raise
                self.left_out[name] = _line(error)
                continue
            groups.setdefault(_ById(problem), []).append((name, recipe))
        return groups

    def _result(self, name: str, problem: Problem, runs: Sequence[Any], held: Any) -> Result:
        anatomy = self.anatomy
        fixed = fixed_as_trained(problem.model, runs[0].recipe.seed)
        modules = tuple(PartitionedModel(run.params, run.model_state, fixed) for run in runs)
        train = [
            anatomy.scored(passed(anatomy.problem, module, anatomy.train), anatomy.train)
            for module in modules
        ]
        values = train
        if self.held and held is not None:
            values = [anatomy.scored(passed(anatomy.problem, module, held), held) for module in modules]
        at = tuple(
            int(run.result["steps"]) if run.result["stopped"] == StopReason.DIVERGED else None for run in runs
        )
        if anatomy.metric != "loss":
            # The last finite weights are kept here; a program that goes on has NaN, and knows nothing.
            pairs = zip(values, at, strict=True)
            values = [value if step is None else min(value, self.constant) for value, step in pairs]
        curves, lowest = [], np.inf
        for run in runs:
            losses = np.asarray(run.record.steps["loss"], np.float64)
            lowest = min(lowest, float(losses[np.isfinite(losses)].min(initial=np.inf)))
            curves.append(_binned(losses))
        steps = max(int(run.result["steps"]) for run in runs)
        return Result(
            name,
            tuple(values),
            tuple(train),
            tuple(curves),
            at,
            steps,
            modules,
            self.constant,
            self.ceiling,
            lowest,
        )


class _Finished(NamedTuple):
    """What `Bench._result` reads of a run."""

    recipe: Recipe
    params: Any
    model_state: Any
    record: Any
    result: Any


@dataclass(frozen=True, eq=False)
class _ById:
    """A problem as a key, by identity."""

    problem: Problem

    def __hash__(self) -> int:
        return id(self.problem)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.problem is self.problem


def _light(problem: Problem, recipes: Sequence[Recipe], whole: bool) -> Problem:
    """Return the problem without the splits that an arm does not read: each costs a compilation."""
    reads = whole and any(
        recipe.patience is not None or recipe.target is not None or recipe.loss_change_below is not None
        for recipe in recipes
    )
    reads |= any(recipe.schedule.name == "plateau" for recipe in recipes)
    data = replace(problem.data, test=None, validation=problem.data.validation if reads else None)
    return replace(problem, data=data, **given(problem))


def effect(result: Result, base: Result) -> float:
    """Return the share of the base's gap to the best that is known which a result recovers."""
    old, new = (float(np.mean(_floored(each, base))) for each in (base, result))
    ceiling = max(base.ceiling, new) if base.ceiling > base.constant else new
    if not np.isfinite(old):
        return 1.0 if np.isfinite(new) else 0.0
    if result.constant == 0.0 and base.ceiling == 0.0:  # the metric is the loss, negated
        return float(np.clip((new - old) / max(abs(old), 1e-12), -1.0, 1.0))
    gap = ceiling - old
    return float((new - old) / gap) if gap > 1e-9 else 0.0


def paired(result: Result, base: Result) -> tuple[float, float] | None:
    """Return the interval of the paired difference of the metric over the seeds of both."""
    pairs = zip(_floored(result, base), _floored(base, base), strict=False)
    return sequential([new - old for new, old in pairs])


def _floored(result: Result, base: Result) -> list[float]:
    """Return the values, none of them below the constant predictor's: what is worse knows no less.

    Networks that give one answer to all rows have the share of a class that chance chose: to come from the
    rare one to the common one is no progress, and no noise that hides some. Losses have no such floor.
    """
    if not base.ceiling > base.constant:
        return list(result.values)
    return [max(value, base.constant) for value in result.values]


def proves(result: Result | None, base: Result | None) -> bool:
    """Return whether an arm recovers half of the gap, with an interval over the seeds that excludes zero.

    A single seed has no interval, and proves nothing.
    """
    if result is None or base is None or effect(result, base) < HALF:
        return False
    interval = paired(result, base)
    return interval is not None and interval[0] > 0


def joined(one: Result, more: Result) -> Result:
    """Return the lanes of both, trained with different seeds."""
    per_seed = ("values", "train_values", "curves", "diverged_at", "modules")
    both = {name: getattr(one, name) + getattr(more, name) for name in per_seed}
    return replace(one, **both, steps=max(one.steps, more.steps), lowest=min(one.lowest, more.lowest))


def _line(error: Exception) -> str:
    """Return the first line of an error; its kind, where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _binned(losses: np.ndarray) -> np.ndarray:
    if not len(losses):
        return losses
    parts = np.array_split(losses, min(BINS, len(losses)))
    return np.array([np.mean(part) for part in parts])
