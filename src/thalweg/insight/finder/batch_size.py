"""Finding the batch size: which size is efficient, which learning rate suits it, what fits in memory.

The gradient noise scale predicts the largest useful batch, and the compiled program says what fits. Lanes
measure the loss of each size after the same number of examples with its own best rate, and with linear and
square-root scaling of the rate: the rules are checked, not assumed.

Reference: McCandlish et al., An Empirical Model of Large-Batch Training, 2018; Goyal et al., Accurate, Large
Minibatch SGD, 2017 (linear scaling); Krizhevsky, One Weird Trick, 2014 (square root); Shallue et al.,
Measuring the Effects of Data Parallelism on Neural Network Training, 2019 (neither holds in general).
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from thalweg.core.arguments import checked
from thalweg.core.errors import RecipeError
from thalweg.engine.group import length
from thalweg.insight.finder.batch_limits import fits, noise_scale
from thalweg.insight.finder.finding import BatchFinding, Cost, Fits, LearningRateFinding, NoiseScale
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.insight.finder.rungs import FIRST_SEED, check_share
from thalweg.insight.trials import Variant, run_trials, validation_only
from thalweg.insight.wording import count, figure, plural
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe, check_rate_can_be_searched, own_rate, with_rate
from thalweg.run.progress import Progress
from thalweg.run.validate import check_recipe

# Sizes to try by default: these multiples of the recipe's own, as far as data and memory allow.
TIMES = (0.25, 1.0, 4.0, 16.0)
SEEDS = 2
# Default budget for each size's rate, as a share of its run; and the share of the run's examples after which
# sizes are compared, about the length of the longest lanes of the rate search.
SHARE, COMPARED = 1.0, 0.1
FEWEST_UPDATES = 8  # of the largest size in the comparison: fewer would compare only the start
WORSE = 2.0  # standard errors above the best size from which a size counts as worse


@checked(RecipeError)
def find_batch_size(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    sizes: Sequence[int] | None = None,
    share: float | None = None,
    progress: Progress | None = None,
) -> BatchFinding:
    """Find the batch size for a problem and a recipe, with the learning rate for each size.

    Args:
        problem: What to learn.
        recipe: How to train; None for the default of the data. All sizes see as many examples as it does.
        sizes: Batch sizes to try; None for a quarter of the recipe's own up to sixteen times that.
        share: Budget in lane-steps for each size's rate, as a share of that size's run; None for one run.
        progress: Receives the progress of training.

    Returns:
        The largest batch that is useful, fits in memory, and is no worse than the best within noise.

    Raises:
        BadInput: As for `find_lr`; or a size is not a whole number from 1 to the size of the training split.

    Example:
        >>> finding = tw.find_batch_size(tw.Problem(None, "digits"), sizes=[32, 128])
        >>> finding.largest_useful, finding.table.select("batch", "value", "linear")
    """
    started = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    check_rate_can_be_searched(base)
    check_share(share)
    check_recipe(problem, base)
    examples = problem.data.train.count()
    memory = fits(problem, base)
    tried = _sizes(sizes, base.batch(examples), examples, memory)
    noise = noise_scale(problem, base)
    search = _SizeSearch(problem, base, share or SHARE, progress)
    table = search.table(tried)
    useful = max(1, min(examples, round(min(noise.value, examples))))
    chosen = _chosen(table, min(useful, memory.batch or examples))
    lr = None if chosen is None else float(table.filter(pl.col("batch") == chosen)["value"][0])
    return BatchFinding(
        value=chosen,
        lr=lr,
        default=search.own,
        largest_useful=useful,
        reason=_reason(chosen, lr, noise, useful, memory, table),
        noise_scale=noise,
        fits=memory,
        cost=Cost(search.spent + noise.steps, length(problem, base), time.perf_counter() - started),
        table=table,
        recipe=base if chosen is None or lr is None else with_rate(search.sized(chosen), lr),
    )


@dataclass
class _SizeSearch:
    """A search over batch sizes.

    Args:
        problem, recipe, progress: The arguments of `find_batch_size`.
        share: Budget for each size's rate, as a share of its run.
        own: The recipe's own batch size, in examples.
        spent: Lane-steps so far, in updates of the recipe's own batch size.
    """

    problem: Problem
    recipe: Recipe
    share: float
    progress: Progress | None
    own: int = field(init=False)
    spent: int = 0

    def __post_init__(self) -> None:
        self.own = self.recipe.batch(self.problem.data.train.count())

    def sized(self, batch: int) -> Recipe:
        """Return the recipe with another batch size and the same number of examples, and `rate_rule` off."""
        accumulate = min(self.recipe.accumulate, batch)
        steps = self.recipe.steps and max(1, round(self.recipe.steps * self.own / batch))
        factor = self.recipe.rate_factor()
        plain = dataclasses.replace(
            self.recipe, batch_size=batch, steps=steps, accumulate=accumulate, rate_rule="none"
        )
        return with_rate(plain, own_rate(self.recipe) * factor) if factor != 1 else plain

    def table(self, sizes: Sequence[int]) -> pl.DataFrame:
        """Return one row per size: its rate and loss, and the rate and loss of both scaling rules."""
        findings = {batch: self._find_rate(batch) for batch in sizes}
        anchor = findings[self.own] if self.own in findings else self._find_rate(self.own)
        compared = max(
            length(self.problem, self.recipe) * self.own * COMPARED, FEWEST_UPDATES * max(sizes)
        )  # examples
        rows, losses = [], {}
        for batch, finding in findings.items():
            rates = self._rates(batch, finding, anchor)
            reached = self._losses(batch, rates, max(1, round(compared / batch)))
            losses[batch] = reached.get("value")
            rows.append(_row(batch, finding, rates, reached))
        return _with_errors(pl.DataFrame(rows, infer_schema_length=None), losses)

    def _find_rate(self, batch: int) -> LearningRateFinding:
        finding = find_lr(self.problem, self.sized(batch), share=self.share, progress=self.progress)
        self._spend(finding.cost.steps, batch)
        return finding

    def _rates(
        self, batch: int, finding: LearningRateFinding, anchor: LearningRateFinding
    ) -> dict[str, float]:
        """Return the rate found for a size, and those that scaling derives from the own size's."""
        rates = {} if finding.value is None else {"value": finding.value}
        if anchor.value is not None:
            ratio = batch / self.own
            rates |= {"linear": anchor.value * ratio, "sqrt": anchor.value * math.sqrt(ratio)}
        return {name: float(f"{rate:.3g}") for name, rate in rates.items()}

    def _losses(self, batch: int, rates: dict[str, float], steps: int) -> dict[str, np.ndarray]:
        """Return the loss that each rate reaches after `steps` updates, by seed; inf where it diverged."""
        if not rates:
            return {}
        recipe = self.sized(batch)
        total = length(self.problem, recipe)
        trials = run_trials(
            validation_only(self.problem),
            [Variant(repr(rate), with_rate(recipe, rate)) for rate in sorted(set(rates.values()))],
            range(FIRST_SEED, FIRST_SEED + SEEDS),
            min(steps, total),
            total=total,
            progress=self.progress,
        )
        self._spend(trials.lane_steps, batch)
        return {
            name: np.array(
                [math.inf if loss is None else loss for loss in trials.losses(repr(rate)).values()]
            )
            for name, rate in rates.items()
        }

    def _spend(self, steps: int, batch: int) -> None:
        self.spent += math.ceil(steps * batch / self.own)


def _sizes(sizes: Sequence[int] | None, own: int, examples: int, memory: Fits) -> list[int]:
    """Return the sizes to try, ascending; by default only those that fit in memory."""
    if sizes is None:
        most = min(examples, memory.batch or examples)
        return sorted({min(most, max(1, round(own * times))) for times in TIMES})
    for size in sizes:
        is_whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not is_whole or not 1 <= size <= examples:
            raise RecipeError(
                "find_batch_size",
                f"sizes must be whole numbers from 1 to the training split's {examples} examples",
                got=size,
                hint=f"for example [{max(1, examples // 16)}, {max(1, examples // 4)}]",
            )
    if not len(sizes):
        hint = "leave sizes out to try some around the recipe's own"
        raise RecipeError("find_batch_size", "sizes must not be empty", got=list(sizes), hint=hint)
    return sorted({int(size) for size in sizes})


def _row(
    batch: int, finding: LearningRateFinding, rates: dict[str, float], reached: dict[str, np.ndarray]
) -> dict[str, object]:
    row = {"batch": batch, "low": finding.low, "value": finding.value, "high": finding.high}
    row |= {"status": finding.status, "loss": _mean(reached.get("value"))}
    for rule in ("linear", "sqrt"):
        row |= {rule: rates.get(rule), f"{rule}_loss": _mean(reached.get(rule))}
    return row


def _mean(losses: np.ndarray | None) -> float | None:
    return None if losses is None or not np.isfinite(losses).all() else float(losses.mean())


def _with_errors(table: pl.DataFrame, losses: dict[int, np.ndarray | None]) -> pl.DataFrame:
    """Add the standard error of each size's difference from the best one, paired over seeds."""
    best = table.drop_nulls("loss").sort("loss")
    if best.is_empty():
        return table.with_columns(pl.lit(None, pl.Float64).alias("error"))
    lowest = losses[best["batch"][0]]
    errors = [
        None
        if (loss := losses[batch]) is None or lowest is None or not np.isfinite(loss).all()
        else float((loss - lowest).std(ddof=1) / math.sqrt(len(loss)))
        for batch in table["batch"]
    ]
    return table.with_columns(pl.Series("error", errors, pl.Float64))


def _chosen(table: pl.DataFrame, most: int) -> int | None:
    """Return the largest size of at most `most` that is no worse than the best within noise.

    Where all such sizes are larger than that, the smallest of them.
    """
    known = table.drop_nulls("loss")
    if known.is_empty():
        return None
    close = known.filter(pl.col("loss") <= known["loss"].min() + WORSE * pl.col("error"))
    useful = close.filter(pl.col("batch") <= most)
    return int(useful["batch"].max() if len(useful) else close["batch"].min())  # type: ignore[arg-type]


def _reason(
    chosen: int | None, lr: float | None, noise: NoiseScale, useful: int, memory: Fits, table: pl.DataFrame
) -> str:
    scale = (
        "The gradient cannot be distinguished from its noise, so no batch is too large."
        if math.isinf(noise.value)
        else f"The gradient noise scale is {count(noise.value)} examples ({count(noise.low)} to "
        f"{count(noise.high)}, 95 %): batches above {plural(useful, 'example')} are mostly wasted."
    )
    free = f"{round(100 * memory.margin)} % of {memory.bytes_free / 2**30:.1f} GiB"
    room = f"A batch of {count(memory.batch)} fits in memory with {free} left free."
    if chosen is None or lr is None:
        return f"{scale} {room} The model does not learn at any size: {', '.join(set(table['status']))}."
    best = table.drop_nulls("loss").sort("loss")["batch"][0]
    choice = (
        f"Of the sizes tried, {count(chosen)} is the largest that is useful, fits, and is no worse than the "
        f"best ({count(best)}) after the same number of examples; its learning rate is {figure(lr, 3)}."
    )
    return " ".join(filter(None, (scale, room, choice, _rules(table))))


def _rules(table: pl.DataFrame) -> str:
    """Say how far linear and square-root scaling are from the rates that were found."""
    errors = []
    for rule, name in (("linear", "linear scaling"), ("sqrt", "square-root scaling")):
        known = table.drop_nulls(["value", rule])
        off = np.abs(np.log2(known[rule].to_numpy() / known["value"].to_numpy()))
        diverged = table.filter(pl.col(rule).is_not_null() & pl.col(f"{rule}_loss").is_null()).height
        if len(off):
            at = f" and diverges at {plural(diverged, 'size')}" if diverged else ""
            errors.append(f"{name} misses by up to a factor of {figure(2 ** off.max(), 2)}{at}")
    return f"Compared with the rates found, {', and '.join(errors)}." if errors else ""
