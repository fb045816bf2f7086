"""Finding the learning rate: rungs of lanes, each longer and closer to the best rate than the one before."""

import math
import time
from dataclasses import dataclass, field

import jax
import numpy as np
import polars as pl

from thalweg.core.arguments import checked
from thalweg.core.compiler import jit
from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.insight.finder.finding import (
    ALL_DIVERGED,
    CANNOT_LEARN,
    FITTED,
    FLAT,
    FOUND,
    INCONCLUSIVE,
    Cost,
    LearningRateFinding,
)
from thalweg.insight.finder.rungs import (
    BRIEF,
    FIRST_LANES,
    LANES,
    LEAST,
    Rungs,
    SearchPlan,
    check_seeds,
    check_share,
    default_share,
    plan_rungs,
)
from thalweg.insight.finder.valley import DRIFTS, OWN_LENGTH, RungLosses, Valley, locate
from thalweg.insight.finder.verdict import Decision, reason
from thalweg.insight.landscape.sharpness import full_loss, predicted_edge
from thalweg.insight.wording import figure
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe, check_rate_can_be_searched, own_rate, rate_path, with_rate
from thalweg.run.progress import Progress
from thalweg.run.validate import check_recipe

# Octaves between the rates of the first rung, and how many of its rates lie below the recipe's own: the
# default of plain gradient descent is usually too small, and hardly any other default is too large. Chosen on
# the development tasks of benchmarks/finders.
COARSE, BELOW = 2.0, 3
# How far from the recipe's own rate the search goes, in octaves: six decades each way.
REACH = 20.0
# The next rung covers the best rate with this probability, in at least and at most this many octaves.
COVERED, NARROWEST, WIDEST = 0.9, 3.0, 8.0
# Probability of being better that replaces the recipe's own rate. Chosen likewise.
SURE = 0.75
SURELY_BETWEEN = 0.95
FLAT_OCTAVES = 3.0  # an interval at least this wide is called flat
DIGITS = 3  # of the reported rate; a thousandth is far below what lanes can distinguish
# Losses within this relative difference are equal, for float32 sums over a split.
SAME = 1e-5
# A loss has fallen when it is below the loss before training by more than this share of it.
LEAST_FALL = 1e-3
# Lanes of at least this share of the run show that training starts at a minimum; shorter ones may only show
# that it starts slowly.
CONCLUSIVE = 0.1


@checked(RecipeError)
def find_lr(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    share: float | None = None,
    seeds: int | None = None,
    progress: Progress | None = None,
) -> LearningRateFinding:
    """Find the learning rate for a problem and a recipe, with its interval, where it diverges, and the cost.

    Lanes are trained with the recipe's own schedule shortened (`Recipe.shortened`): first a wide grid around
    the recipe's own rate, a factor of 4 apart and extended while the best lies at its end; then fewer rates,
    closer to the best, with paired seeds and three times as many updates on each rung. All of them together
    give the best rate of the whole run as a probability distribution (`insight.finder.valley`). The chosen
    rate is the one with the lowest expected loss, at most half the smallest rate that diverged; the recipe's
    own rate is kept unless another is shown to be better.

    Args:
        problem: What to learn. Its test split is never read.
        recipe: How to train; None for the default of the data (`recipe.book`).
        share: Budget in lane-steps, as a share of the run's updates; never exceeded. None: what fits in six
            seconds of training on an assumed machine, but at least a tenth of the run and at most ten runs.
        seeds: Seeds for every rate, except on the first rung; None for two, and one on the last rung.
        progress: Receives the progress of each rung.

    Returns:
        The finding. Its value is None where no rate lets the model learn, or every lane diverges.

    Raises:
        BadInput: Problem and recipe do not fit, the optimizer has no learning rate, or share or seeds are
            invalid. Nothing has been trained then.

    Example:
        >>> import thalweg as tw
        >>> finding = tw.find_lr(tw.Problem(None, "digits"))
        >>> finding.low <= finding.value <= finding.high
        True

    Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
    2016 (successive halving: many short lanes, few long ones).
    """
    started = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    check_rate_can_be_searched(base)
    setting = rate_path(base)
    check_share(share)
    check_seeds(seeds)
    check_recipe(problem, base)
    search = RateSearch(Rungs(problem, base, progress), share, seeds)
    decision = search.run()
    edge = predicted_edge(problem, base, search.left)
    rungs, value = search.rungs, decision.value
    cost = Cost(rungs.spent + edge.steps, rungs.total, time.perf_counter() - started)
    why = reason(decision, rungs.curve, base, rungs.total, search.plan.budget)
    if decision.status == CANNOT_LEARN:
        why += f" {_why_it_cannot_learn(rungs.problem, base)}"
    return LearningRateFinding(
        setting=setting,
        value=value,
        low=decision.low,
        high=decision.high,
        default=own_rate(base),
        diverges=search.diverges,
        predicted_edge=edge.rate,
        status=decision.status,
        reason=why,
        curve=rungs.curve,
        fitted=search.fitted(decision.valley),
        cost=cost,
        recipe=base if value in (None, own_rate(base)) else with_rate(base, value),
    )


@dataclass
class RateSearch:
    """A search in progress.

    Args:
        rungs: The lanes trained so far.
        share, seeds: The arguments of `find_lr`.
    """

    rungs: Rungs
    share: float | None
    seeds: int | None
    plan: SearchPlan = field(default_factory=lambda: SearchPlan((), (), 0))
    rung: int = 0

    @property
    def centre(self) -> float:
        """Where the first grid starts: the recipe's own rate, or the optimizer's default if that is 0."""
        optimizer = self.rungs.recipe.optimizer
        return own_rate(self.rungs.recipe) or float(type(optimizer)().first_rate())

    @property
    def left(self) -> int:
        """Lane-steps left in the budget."""
        return self.plan.budget - self.rungs.spent

    @property
    def start(self) -> float:
        """The loss before training: that of the smallest rate on the first rung, which has hardly moved."""
        losses = self._means(1)[1]
        return float(losses[np.isfinite(losses)][0]) if np.isfinite(losses).any() else math.nan

    @property
    def diverges(self) -> float | None:
        """The smallest rate at which a lane diverged."""
        return self.rungs.curve.filter(pl.col("stopped") == StopReason.DIVERGED.value)["rate"].min()  # type: ignore[return-value]

    def run(self) -> Decision:
        """Train rung after rung and decide."""
        total, seconds = self.rungs.total, self.rungs.update_seconds
        affordable = default_share(seconds, total) if self.share is None else self.share
        self.rungs.brief = affordable * total * seconds < BRIEF
        self.plan = plan_rungs(LEAST if self.share is None else self.share, total, self.seeds)
        if not self.plan.steps[0]:
            return Decision(INCONCLUSIVE, own_rate(self.rungs.recipe))
        self._first(self.plan.steps[0])
        later = list(zip(self.plan.steps, self.plan.seeds, strict=True))[1:]
        if self.share is None:
            self.plan = plan_rungs(affordable, total, self.seeds, self.rungs.spent)
            if affordable > LEAST:
                later = list(zip(self.plan.steps, self.plan.seeds, strict=True))
        early = self._early_decision()
        if early is not None and later:
            self._repeat_first()
            early = self._early_decision()
        if early is not None:
            return early
        for number, (steps, seeds) in enumerate(later):
            self._next(steps, seeds, FIRST_LANES if self.share is None and not number else LANES)
        return self._decide()

    def valley(self) -> Valley:
        """Return where the best rate lies, in octaves from the centre, from all lanes so far."""
        rungs = [
            RungLosses(
                float(rows["steps"][0]) / self.rungs.total,
                np.log2(rows["rate"].to_numpy() / self.centre),
                rows["seed"].to_numpy(),
                rows["loss"].fill_null(math.inf).to_numpy().astype(float),
            )
            for rows in self.rungs.curve.partition_by("rung", maintain_order=True)
        ]
        octaves = np.concatenate([rung.octaves for rung in rungs])
        low, high = float(octaves.min()) - COARSE / 2, float(octaves.max()) + COARSE / 2
        if self.diverges is not None:
            high = min(high, math.log2(self.diverges / 2 / self.centre))
        finite = [rung for rung in rungs if np.isfinite(rung.losses).any()]
        drifts = OWN_LENGTH if self.rungs.recipe.optimizer.rate_is_step_length else DRIFTS
        return locate(finite, self.start, (min(low, high - COARSE), high), drifts)

    def fitted(self, valley: Valley | None) -> pl.DataFrame:
        """Return the curve of the last rung's length, for drawing; empty without a fit."""
        if valley is None:
            return pl.DataFrame(schema=FITTED)
        losses = self._means(self.rung)[1]
        lowest = float(losses.min()) if np.isfinite(losses).any() else self.start
        rates = self.centre * 2.0**valley.octaves
        return pl.DataFrame({"rate": rates, **valley.losses(lowest, self.start)})

    def _first(self, steps: int) -> None:
        """Train a wide grid, extended while the best lies at its end or every lane diverged."""
        self._train(_first_grid(), 1, steps)
        while True:
            more = [octave for octave in self._extension() if abs(octave) <= REACH]
            if not more or self.left // steps < len(more) or self._flat():
                return
            self._train(more, 1, steps, same_rung=True)

    def _extension(self) -> list[float]:
        """Return the octaves by which the first grid should grow; empty where it is wide enough."""
        octaves, losses = self._means(self.rung)
        if not np.isfinite(losses).any():
            if (self.rungs.curve["diverged_at"] == 0).all():
                return []  # no rate can be the cause
            return [octaves[0] - COARSE * number for number in (1, 2, 3)]
        best = octaves[int(np.argmin(losses))]
        if best == octaves[0]:
            # Where the loss has not fallen, the lowest rate is best because it stays closest to the start.
            return [octaves[0] - COARSE] if _fell(losses[1], losses[0]) else []
        return [octaves[-1] + COARSE] if best == octaves[-1] else []

    def _repeat_first(self) -> None:
        """Train the first grid again for as long as the budget allows: learning may start late."""
        octaves = _first_grid()
        steps = min(self.rungs.total, self.left // len(octaves))
        if steps > self.rungs.curve["steps"][-1]:
            self._train(octaves, 1, steps)

    def _next(self, steps: int, seeds: int, count: int) -> None:
        """Train a rung on rates that cover where the best may lie."""
        low, high = self.valley().within(COVERED)
        middle, half = (low + high) / 2, min(max(high - low, NARROWEST), WIDEST) / 2
        steps = min(steps, self.left // (count * seeds))
        if steps > 0:
            self._train(np.linspace(middle - half, middle + half, count).tolist(), seeds, steps)

    def _train(self, octaves: list[float], seeds: int, steps: int, same_rung: bool = False) -> None:
        self.rung += not same_rung
        self.rungs.train([self._rate(octave) for octave in octaves], seeds, steps, self.rung)

    def _rate(self, octave: float) -> float:
        return self.centre if octave == 0 else float(f"{self.centre * 2**octave:.4g}")

    def _means(self, rung: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a rung's rates in octaves from the centre, and mean losses; inf where a lane diverged."""
        rows = self.rungs.curve.filter(pl.col("rung") == rung)
        rates = np.unique(rows["rate"].to_numpy())
        losses = rows["loss"].fill_null(math.inf).to_numpy()
        means = [losses[rows["rate"].to_numpy() == rate].mean() for rate in rates]
        return np.round(np.log2(rates / self.centre), 2), np.array(means)

    def _flat(self) -> bool:
        """Return whether all lanes that did not diverge reached the same loss."""
        losses = self.rungs.curve["loss"].drop_nulls().to_numpy()
        return len(losses) > 0 and float(np.ptp(losses)) <= SAME * float(np.abs(losses).max())

    def _early_decision(self) -> Decision | None:
        """Return a decision where longer lanes cannot help: all diverged, no loss changed, or none fell."""
        octaves, losses = self._means(self.rung)
        finite = np.isfinite(losses)
        if not finite.any():
            return Decision(ALL_DIVERGED, None)
        if self._flat() and len(losses) > 1:
            return Decision(CANNOT_LEARN, None)
        start, own = losses[finite][0], own_rate(self.rungs.recipe)
        if _fell(start, losses[finite].min()):
            return None
        if self.rungs.curve["steps"][-1] < CONCLUSIVE * self.rungs.total:
            return Decision(INCONCLUSIVE, own)
        harmless = finite & (losses <= start + LEAST_FALL * abs(start))
        low, high = self._rate(octaves[0]), self._rate(octaves[harmless][-1])
        return Decision(FLAT, own if own <= high else high / 2, low, high, begins_at_minimum=True)

    def _decide(self) -> Decision:
        valley, own, diverges = self.valley(), own_rate(self.rungs.recipe), self.diverges
        best, ends = valley.best, valley.within(SURELY_BETWEEN)
        low, high = (_rounded(self.centre * 2**end) for end in (min(*ends, best), max(*ends, best)))
        octave = -math.inf if own == 0 else math.log2(own / self.centre)
        own_diverges = diverges is not None and own > diverges / 2
        chance = 1.0 if own_diverges or octave < valley.octaves[0] else valley.chance(best, octave)
        if chance < SURE:
            return Decision(INCONCLUSIVE, own, low, high, chance, valley)
        value = min(_rounded(self.centre * 2**best), math.inf if diverges is None else diverges / 2)
        status = FLAT if math.log2(high / low) >= FLAT_OCTAVES else FOUND
        return Decision(status, value, low, high, chance, valley)


def _first_grid() -> list[float]:
    return [COARSE * (number - BELOW) for number in range(FIRST_LANES)]


def _rounded(rate: float) -> float:
    return float(f"{rate:.{DIGITS}g}")


def _fell(before: float, after: float) -> bool:
    """Return whether a loss fell by more than `LEAST_FALL`."""
    return bool(after < before - LEAST_FALL * abs(before))


def _why_it_cannot_learn(problem: Problem, recipe: Recipe) -> str:
    """Say why a problem cannot be learned at any rate: the loss, or the gradient."""
    loss, params = full_loss(problem, recipe)
    compiled = jit(loss)
    gradient = jax.tree.leaves(jit(jax.grad(loss))(params))
    norm = float(np.sqrt(sum(float((np.asarray(leaf) ** 2).sum()) for leaf in gradient)))
    moved = jax.tree.map(lambda leaf: 1.5 * leaf + 0.1, params)
    before, after = float(compiled(params)), float(compiled(moved))
    if before == after:
        return f"The loss is {figure(before)} whatever the weights are: it does not depend on them."
    if norm == 0.0:
        return (
            "The gradient is zero for every weight, although the loss depends on the weights: something "
            "between them has no slope, such as stop_gradient, an argmax or a dead activation."
        )
    return f"The norm of the gradient is {figure(norm)}, too small to change the loss at any rate tried."
