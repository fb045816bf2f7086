"""Finding the batch size: which is worth its examples, which rate goes with each, what fits in memory.

Three questions, three answers. The gradient noise scale predicts the largest useful batch. The compiled
program says what fits. Lanes say what a size reaches after equal numbers of examples with the rate that is
best for it, and what linear and square-root scaling of the rate would have reached there: checked, not
believed.

Reference: McCandlish et al., An Empirical Model of Large-Batch Training, 2018; Goyal et al., Accurate, Large
Minibatch SGD, 2017 (linear scaling); Krizhevsky, One Weird Trick, 2014 (square root); Shallue et al.,
Measuring the Effects of Data Parallelism on Neural Network Training, 2019 (neither holds in general).
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from thalweg.core.errors import RecipeError
from thalweg.engine.group import length
from thalweg.insight.finder.budget import check_share
from thalweg.insight.finder.finding import BatchFinding, Cost, Fits, LearningRateFinding, NoiseScale
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.insight.finder.memory import fits
from thalweg.insight.finder.noise_scale import noise_scale
from thalweg.insight.finder.rungs import Lanes
from thalweg.insight.wording import count, figure, plural
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.rate import own_rate, rate_path, with_rate
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.validate import check_recipe

# Sizes that are tried where none are named: these times the recipe's own, as far as the data and memory go.
TIMES = (0.25, 1.0, 4.0, 16.0)
SEEDS = 2
# Of a run, spent on each size's rate where no share is named; and of the run's examples, how far the sizes
# are then compared: as far as the rates were looked for.
SHARE, COMPARED = 1.0, 0.1
FEWEST_UPDATES = 8  # of the largest size in the comparison: with fewer, nothing but the start is compared
WORSE = 2.0  # standard errors by which a size must be above the best to be worse


def find_batch_size(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    sizes: Sequence[int] | None = None,
    share: float | None = None,
    progress: Progress | None = None,
) -> BatchFinding:
    """Find the batch size for a problem and a recipe, with the learning rate that goes with each.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data. Its length in examples is kept for every size.
        sizes: Batch sizes to try; None for a quarter of the recipe's own to sixteen times that.
        share: Lane-steps for each size's rate, as a share of that size's run; None for one run.
        progress: Who is told how it goes.

    Returns:
        The largest batch that is useful, fits, and reaches what the best reaches, within noise.

    Raises:
        BadInput: As for `find_lr`; or a size is none, or above the training part.

    Example:
        >>> found = tw.find_batch_size(tw.Problem(None, "digits"), sizes=[32, 128])
        >>> found.largest_useful, found.table.select("batch", "value", "linear")
    """
    begun = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    rate_path(base)
    check_share(share)
    check_recipe(problem, base)
    examples = problem.data.train.count()
    own = base.batch(examples)
    room = fits(problem, base)
    tried = _sizes(sizes, own, examples, room)
    noise = noise_scale(problem, base)
    search = _Sizes(problem, base, share or SHARE, progress)
    table = search.table(tried, own)
    useful = max(1, min(examples, round(min(noise.value, examples))))
    chosen = _chosen(table, min(useful, room.batch or examples))
    lr = None if chosen is None else float(table.filter(pl.col("batch") == chosen)["value"][0])
    cost = Cost(search.spent + noise.steps, length(problem, base), time.perf_counter() - begun)
    return BatchFinding(
        value=chosen,
        lr=lr,
        default=own,
        largest_useful=useful,
        reason=_reason(chosen, lr, noise, useful, room, table),
        noise_scale=noise,
        fits=room,
        cost=cost,
        table=table,
        recipe=base if chosen is None or lr is None else with_rate(search.sized(chosen), lr),
    )


@dataclass
class _Sizes:
    """Sizes on trial.

    Args:
        problem, recipe, progress: As `find_batch_size` was given them.
        share: Of each size's run, for its rate.
        spent: Lane-steps so far, in updates of the recipe's own batch.
    """

    problem: Problem
    recipe: Recipe
    share: float
    progress: Progress | None
    spent: int = 0

    @property
    def own(self) -> int:
        """The recipe's own batch size, in examples."""
        return self.recipe.batch(self.problem.data.train.count())

    def sized(self, batch: int) -> Recipe:
        """Return the recipe with another batch and as many examples; its rate then follows no rule."""
        accumulate = min(self.recipe.accumulate, batch)
        steps = self.recipe.steps and max(1, round(self.recipe.steps * self.own / batch))
        factor = self.recipe.rate_factor()
        plain = dataclasses.replace(
            self.recipe, batch_size=batch, steps=steps, accumulate=accumulate, rate_rule="none"
        )
        return with_rate(plain, own_rate(self.recipe) * factor) if factor != 1 else plain

    def table(self, sizes: Sequence[int], own: int) -> pl.DataFrame:
        """Return a row for each size: its rate, what it reached, and what the two rules reached."""
        found = {batch: self._rate(batch) for batch in sizes}
        anchor = found[own] if own in found else self._rate(own)
        compared = max(length(self.problem, self.recipe) * own * COMPARED, FEWEST_UPDATES * max(sizes))
        rows, losses = [], {}
        for batch in sizes:
            rates = self._rates(batch, own, found[batch], anchor)
            reached = self._compared(batch, rates, max(1, round(compared / batch)))
            losses[batch] = reached.get("value")
            rows.append(_row(batch, found[batch], rates, reached))
        return _with_errors(pl.DataFrame(rows, infer_schema_length=None), losses)

    def _rate(self, batch: int) -> LearningRateFinding:
        finding = find_lr(self.problem, self.sized(batch), share=self.share, progress=self.progress)
        self._spend(finding.cost.steps, batch)
        return finding

    def _rates(
        self, batch: int, own: int, found: LearningRateFinding, anchor: LearningRateFinding
    ) -> dict[str, float]:
        """Return the rate that was found for a size, and those that scaling makes of the own size's."""
        rates = {} if found.value is None else {"value": found.value}
        if anchor.value is not None:
            ratio = batch / own
            rates |= {"linear": anchor.value * ratio, "sqrt": anchor.value * math.sqrt(ratio)}
        return {name: float(f"{rate:.3g}") for name, rate in rates.items()}

    def _compared(self, batch: int, rates: dict[str, float], steps: int) -> dict[str, np.ndarray]:
        """Return what each rate reaches after so many updates, by seed; infinite where a lane diverged."""
        if not rates:
            return {}
        lanes = Lanes(self.problem, self.sized(batch), self.progress)
        lanes.train(sorted(set(rates.values())), SEEDS, min(steps, lanes.total), 1)
        self._spend(lanes.spent, batch)
        curve = lanes.curve.with_columns(pl.col("loss").fill_null(math.inf))
        return {
            name: curve.filter(pl.col("rate") == rate).sort("seed")["loss"].to_numpy()
            for name, rate in rates.items()
        }

    def _spend(self, steps: int, batch: int) -> None:
        self.spent += math.ceil(steps * batch / self.own)


def _sizes(sizes: Sequence[int] | None, own: int, examples: int, room: Fits) -> list[int]:
    """Return the sizes to try, ascending; where none were named, those that fit in memory."""
    if sizes is None:
        most = min(examples, room.batch or examples)
        return sorted({min(most, max(1, round(own * times))) for times in TIMES})
    for size in sizes:
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not whole or not 1 <= size <= examples:
            raise RecipeError(
                "find_batch_size",
                f"sizes must be whole numbers from 1 to the training part's {examples} examples",
                got=size,
            )
    if not len(sizes):
        raise RecipeError("find_batch_size", "sizes must have at least one", got=list(sizes))
    return sorted({int(size) for size in sizes})


def _row(
    batch: int, found: LearningRateFinding, rates: dict[str, float], reached: dict[str, np.ndarray]
) -> dict[str, object]:
    row = {"batch": batch, "low": found.low, "value": found.value, "high": found.high}
    row |= {"status": found.status, "loss": _mean(reached.get("value"))}
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
    first = losses[best["batch"][0]]
    errors = [
        None
        if (mine := losses[batch]) is None or first is None or not np.isfinite(mine).all()
        else float((mine - first).std(ddof=1) / math.sqrt(len(mine)))
        for batch in table["batch"]
    ]
    return table.with_columns(pl.Series("error", errors, pl.Float64))


def _chosen(table: pl.DataFrame, most: int) -> int | None:
    """Return the largest size that is no worse than the best within noise, useful, and fits.

    Where every size is above what is useful and fits, the smallest one.
    """
    known = table.drop_nulls("loss")
    if known.is_empty():
        return None
    close = known.filter(pl.col("loss") <= known["loss"].min() + WORSE * pl.col("error"))
    useful = close.filter(pl.col("batch") <= most)
    return int(useful["batch"].max() if len(useful) else close["batch"].min())  # type: ignore[arg-type]


def _reason(
    chosen: int | None, lr: float | None, noise: NoiseScale, useful: int, room: Fits, table: pl.DataFrame
) -> str:
    scale = (
        "The gradient cannot be told from its noise, so that no batch is too large"
        if math.isinf(noise.value)
        else f"The gradient noise scale is {count(noise.value)} examples ({count(noise.low)} to "
        f"{count(noise.high)}, 95 %): beyond {plural(useful, 'example')} a larger batch is mostly waste"
    )
    memory = (
        f"{count(room.batch)} fit in memory, with {round(100 * room.margin)} % of "
        f"{room.bytes_free / 2**30:.1f} GiB left free"
    )
    if chosen is None or lr is None:
        return f"{scale}. {memory}. No size let the problem be learned: {', '.join(set(table['status']))}."
    best = table.drop_nulls("loss").sort("loss")["batch"][0]
    took = f"Of the sizes tried {count(chosen)} is the largest that is useful, fits, and is no worse than the"
    after = f" best ({count(best)}) after as many examples"
    return f"{scale}. {memory}. {took}{after}; the rate that goes with it is {figure(lr, 3)}. {_rules(table)}"


def _rules(table: pl.DataFrame) -> str:
    """Say how far linear and square-root scaling are from the rates that were found."""
    told = []
    for rule, name in (("linear", "linear scaling"), ("sqrt", "square-root scaling")):
        known = table.drop_nulls(["value", rule])
        off = np.abs(np.log2(known[rule].to_numpy() / known["value"].to_numpy()))
        lost = table.filter(pl.col(rule).is_not_null() & pl.col(f"{rule}_loss").is_null()).height
        if len(off):
            said = f"{name} is up to a factor of {figure(2 ** off.max(), 2)} off"
            told.append(said + (f" and diverges at {plural(lost, 'size')}" if lost else ""))
    return f"Of the rates found, {' and '.join(told)}." if told else ""
