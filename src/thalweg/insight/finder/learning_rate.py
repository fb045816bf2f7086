"""Finding the learning rate: rungs of lanes, each longer and nearer to the best than the one before."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from thalweg.core.stop_reason import StopReason
from thalweg.insight.curvature import Edge, predicted_edge
from thalweg.insight.finder.budget import (
    FIRST_LANES,
    LANES,
    LEAST,
    SearchPlan,
    bought,
    check_seeds,
    check_share,
    planned,
)
from thalweg.insight.finder.finding import (
    FITTED,
    FLAT,
    FOUND,
    LOST,
    UNTEACHABLE,
    INCONCLUSIVE,
    Cost,
    LearningRateFinding,
)
from thalweg.insight.finder.reasons import Decision, reason, unteachable
from thalweg.insight.finder.rungs import Lanes
from thalweg.insight.finder.valley import DRIFTS, OWN_LENGTH, RungLosses, Valley, locate
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.rate import own_rate, rate_path, with_rate
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.validate import check_recipe

# Octaves between the first rung's rates, and how many of them lie below the recipe's own: plain descent's
# default is usually too small, hardly any other's too large. Chosen on the development tasks of
# benchmarks/finders.
COARSE, BELOW = 2.0, 3
# How far from the recipe's own rate is looked for a rate that learns, in octaves: six decades each way.
REACH = 20.0
# The next rung's rates cover where the best lies with this probability, in so many octaves at least and at
# most.
COVERED, NARROWEST, WIDEST = 0.9, 3.0, 8.0
# How sure it must be that the pick is better than the recipe's own rate. Chosen likewise.
SURE = 0.75
SURELY_BETWEEN = 0.95
FLAT_OCTAVES = 3.0  # an interval as wide as this is a plain, no place
DIGITS = 3  # of a rate that is told; a thousandth is far below what can be told apart
# Losses that agree to this relative difference are one loss, in float32 sums over a part.
SAME = 1e-5
# A fall below the loss before training by no more than this share of it is none: it began at its minimum.
NOTHING = 1e-3
# Lanes this share of the run in length tell that it begins at its minimum; shorter ones, that it begins
# slowly.
TELLING = 0.1


def find_lr(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    share: float | None = None,
    seeds: int | None = None,
    progress: Progress | None = None,
) -> LearningRateFinding:
    """Find the learning rate for a problem and a recipe: which, how sure, where it diverges, at what cost.

    Lanes are trained with the recipe's own schedule shortened (`recipe.shortened`): first a wide grid around
    the recipe's own rate, a factor of 4 apart and further where the best lies at its end, then fewer rates
    closer to the best with paired seeds, three times as long each time. Where the best rate of the whole run
    lies follows from all of them (`insight.finder.valley`). The rate taken is the one expected to lose least,
    never above half the smallest one that diverged, and the recipe's own where that is not shown to be worse.

    Args:
        problem: What is learned. Its test part is not looked at.
        recipe: How; None for the default of the data (`recipe.book`).
        share: Lane-steps that may be spent, as a share of the run's updates; strictly held. None: what six
            seconds of training buy, but at least a tenth of the run and at most ten runs.
        seeds: Seeds for every rate, but in the first rung; None for two, and one in the last rung.
        progress: Who is told how each rung goes.

    Returns:
        The finding. Where no rate lets the problem be learned, or every lane diverges, its value is None.

    Raises:
        BadInput: Problem and recipe do not fit, the optimizer has no learning rate, or share or seeds are
            none. Nothing has been trained then.

    Example:
        >>> import thalweg as tw
        >>> found = tw.find_lr(tw.Problem(None, "digits"))
        >>> found.low <= found.value <= found.high
        True

    Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
    2016 (successive halving: many short, few long).
    """
    begun = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    rate_path(base)
    check_share(share)
    check_seeds(seeds)
    check_recipe(problem, base)
    search = RateSearch(Lanes(problem, base, progress), share, seeds)
    decision = search.run()
    edge = predicted_edge(problem, base, search.left)
    steps = search.lanes.spent + edge.steps
    cost = Cost(steps, search.lanes.total, time.perf_counter() - begun)
    return _finding(base, search, decision, edge, cost)


@dataclass
class RateSearch:
    """A search on its way.

    Args:
        lanes: What has been trained.
        share, seeds: As `find_lr` was given them.
    """

    lanes: Lanes
    share: float | None
    seeds: int | None
    plan: SearchPlan = field(default_factory=lambda: SearchPlan((), (), 0))
    rung: int = 0

    @property
    def centre(self) -> float:
        """The rate around which it begins: the recipe's own, or its optimizer's default where that is 0."""
        rule = self.lanes.recipe.optimizer
        return own_rate(self.lanes.recipe) or float(type(rule)().first_rate())

    @property
    def left(self) -> int:
        """Lane-steps that may still be spent."""
        return self.plan.budget - self.lanes.spent

    def run(self) -> Decision:
        """Train rung after rung, and decide."""
        self.plan = planned(LEAST if self.share is None else self.share, self.lanes.total, self.seeds)
        if not self.plan.steps[0]:
            return Decision(INCONCLUSIVE, own_rate(self.lanes.recipe))
        self._first(self.plan.steps[0])
        following = list(zip(self.plan.steps, self.plan.seeds, strict=True))[1:]
        if self.share is None:
            each = self.lanes.seconds / max(self.lanes.spent, 1)
            bigger = bought(each, self.lanes.total)
            self.plan = planned(bigger, self.lanes.total, self.seeds, self.lanes.spent)
            if bigger > LEAST:
                following = list(zip(self.plan.steps, self.plan.seeds, strict=True))
        stuck = self._stuck()
        if stuck is not None and following:
            self._again()
            stuck = self._stuck()
        if stuck is not None:
            return stuck
        for number, (steps, seeds) in enumerate(following):
            self._next(steps, seeds, FIRST_LANES if self.share is None and not number else LANES)
        return self._decided()

    def _first(self, steps: int) -> None:
        """Train a wide grid, and go further while the best lies at an end of it, or nothing came through."""
        self._train([COARSE * (place - BELOW) for place in range(FIRST_LANES)], 1, steps)
        while True:
            octaves, losses = self._means(self.rung)
            best = octaves[int(np.argmin(losses))]
            if not np.isfinite(losses).any():
                if (self.lanes.curve["diverged_at"] == 0).all():
                    return  # not the rate's fault
                more = [octaves[0] - COARSE * place for place in (1, 2, 3)]
            elif best == octaves[0]:
                if not _fell(losses[1], losses[0]):
                    return  # the lower, the nearer to where it began
                more = [octaves[0] - COARSE]
            elif best == octaves[-1]:
                more = [octaves[-1] + COARSE]
            else:
                return
            more = [octave for octave in more if abs(octave) <= REACH]
            room = self.left // steps
            if not more or room < len(more) or self._flat():
                return
            self._train(more, 1, steps, again=True)

    def _again(self) -> None:
        """Train the wide grid once more, as long as the budget allows: what moves nothing may need longer."""
        octaves = [COARSE * (place - BELOW) for place in range(FIRST_LANES)]
        steps = min(self.lanes.total, self.left // len(octaves))
        if steps > self.lanes.rows[-1]["steps"]:
            self._train(octaves, 1, steps)

    def _next(self, steps: int, seeds: int, count: int) -> None:
        """Train a rung on rates that cover where the best may lie."""
        low, high = self.valley().within(COVERED)
        middle, half = (low + high) / 2, min(max(high - low, NARROWEST), WIDEST) / 2
        steps = min(steps, self.left // (count * seeds))
        if steps > 0:
            self._train(np.linspace(middle - half, middle + half, count).tolist(), seeds, steps)

    def _train(self, octaves: list[float], seeds: int, steps: int, again: bool = False) -> None:
        self.rung += not again
        rates = [self._rate(octave) for octave in octaves]
        self.lanes.train(rates, seeds, steps, self.rung)

    def _rate(self, octave: float) -> float:
        return self.centre if octave == 0 else float(f"{self.centre * 2**octave:.4g}")

    def _means(self, rung: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a rung's rates in octaves from the centre, and mean losses; inf where a lane was lost."""
        rows = self.lanes.curve.filter(pl.col("rung") == rung)
        rates = np.unique(rows["rate"].to_numpy())
        losses = rows["loss"].fill_null(math.inf).to_numpy()
        means = [losses[rows["rate"].to_numpy() == rate].mean() for rate in rates]
        return np.round(np.log2(rates / self.centre), 2), np.array(means)

    @property
    def start(self) -> float:
        """The loss before training: that of the smallest rate in the first rung, which has hardly moved."""
        losses = self._means(1)[1]
        return float(losses[np.isfinite(losses)][0]) if np.isfinite(losses).any() else math.nan

    @property
    def diverges(self) -> float | None:
        """The smallest rate at which a lane diverged."""
        return self.lanes.curve.filter(pl.col("stopped") == StopReason.DIVERGED.value)["rate"].min()  # type: ignore[return-value]

    def valley(self) -> Valley:
        """Return where the best rate lies, in octaves from the centre, from all lanes so far."""
        curve = self.lanes.curve
        rungs = [
            RungLosses(
                float(rows["steps"][0]) / self.lanes.total,
                np.log2(rows["rate"].to_numpy() / self.centre),
                rows["seed"].to_numpy(),
                rows["loss"].fill_null(math.inf).to_numpy().astype(float),
            )
            for rows in curve.partition_by("rung", maintain_order=True)
        ]
        octaves = np.concatenate([rung.octaves for rung in rungs])
        low, high = float(octaves.min()) - COARSE / 2, float(octaves.max()) + COARSE / 2
        if self.diverges is not None:
            high = min(high, math.log2(self.diverges / 2 / self.centre))
        came = [rung for rung in rungs if np.isfinite(rung.losses).any()]
        drifts = OWN_LENGTH if self.lanes.recipe.optimizer.rate_is_step_length else DRIFTS
        return locate(came, self.start, (min(low, high - COARSE), high), drifts)

    def _flat(self) -> bool:
        """Tell whether all lanes that came through reached one loss."""
        losses = self.lanes.curve["loss"].drop_nulls().to_numpy()
        return len(losses) > 0 and float(np.ptp(losses)) <= SAME * float(np.abs(losses).max())

    def _stuck(self) -> Decision | None:
        """Return a decision where nothing is to be found: all lanes lost, no loss moved, or none fell."""
        octaves, losses = self._means(self.rung)
        finite = np.isfinite(losses)
        if not finite.any():
            return Decision(LOST, None)
        if self._flat() and len(losses) > 1:
            return Decision(UNTEACHABLE, None)
        start, own = losses[finite][0], own_rate(self.lanes.recipe)
        if _fell(start, losses[finite].min()):
            return None
        if self.lanes.rows[-1]["steps"] < TELLING * self.lanes.total:
            return Decision(INCONCLUSIVE, own)
        harmless = finite & (losses <= start + NOTHING * abs(start))
        low, high = self._rate(octaves[0]), self._rate(octaves[harmless][-1])
        return Decision(FLAT, own if own <= high else high / 2, low, high, begun_at_minimum=True)

    def _decided(self) -> Decision:
        valley, own = self.valley(), own_rate(self.lanes.recipe)
        best, ends = valley.best, valley.within(SURELY_BETWEEN)
        low, high = (_rounded(self.centre * 2**end) for end in (min(*ends, best), max(*ends, best)))
        lost = self.diverges is not None and own > self.diverges / 2
        octave = -math.inf if own == 0 else math.log2(own / self.centre)
        chance = 1.0 if lost or octave < valley.octaves[0] else valley.chance(best, octave)
        told = {"low": low, "high": high, "chance": chance, "valley": valley}
        if chance < SURE:
            return Decision(INCONCLUSIVE, own, **told)
        value = min(_rounded(self.centre * 2**best), math.inf if self.diverges is None else self.diverges / 2)
        status = FLAT if math.log2(high / low) >= FLAT_OCTAVES else FOUND
        return Decision(status, value, **told)


def _rounded(rate: float) -> float:
    return float(f"{rate:.{DIGITS}g}")


def _fell(before: float, after: float) -> bool:
    """Tell whether a loss is below another by more than nothing."""
    return bool(after < before - NOTHING * abs(before))


def _finding(
    base: Recipe, search: RateSearch, decision: Decision, edge: Edge, cost: Cost
) -> LearningRateFinding:
    value, own = decision.value, own_rate(base)
    why = unteachable(search.lanes.problem, base) if decision.status == UNTEACHABLE else ""
    return LearningRateFinding(
        setting=rate_path(base),
        value=value,
        low=decision.low,
        high=decision.high,
        default=own,
        diverges=search.diverges,
        predicted_edge=edge.rate,
        status=decision.status,
        reason=reason(search.lanes, search.plan, decision, why),
        curve=search.lanes.curve,
        fitted=_fitted(search, decision),
        cost=cost,
        recipe=base if value is None or value == own else with_rate(base, value),
    )


def _fitted(search: RateSearch, decision: Decision) -> pl.DataFrame:
    """Return the curve of the last rung's length for drawing; empty where none was fitted."""
    if decision.valley is None:
        return pl.DataFrame(schema=FITTED)
    losses = search._means(search.rung)[1]
    lowest = float(losses.min()) if np.isfinite(losses).any() else search.start
    columns = decision.valley.losses(lowest, search.start)
    rates = search.centre * 2.0**decision.valley.octaves
    return pl.DataFrame({"rate": rates, **columns})
