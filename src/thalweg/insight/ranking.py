"""The settings of a sweep, ranked: mean over seeds with an interval, and which are tied with the best.

Lanes that differ only in their seed are one setting. Settings are ranked by the validation loss. Choosing by
the test split would use it up, so test figures are given for the chosen setting and no other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput, RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.insight.intervals import Estimate, estimate_mean, paired_difference
from thalweg.insight.outcome import text
from thalweg.insight.wording import as_number, setting
from thalweg.run.folder.sweep_record import Sweep
from thalweg.run.run import Runs

# Values of `RankedSetting.status`.
BEST, TIED, WORSE, SINGLE_SEED, FROZEN, UNSTABLE, DIVERGED = (
    "best",
    "cannot tell",
    "worse",
    "one seed",
    "frozen",
    "diverged in part",
    "diverged",
)
# Paths whose value needs no name before it in a label.
COMPONENTS = frozenset({"model", "optimizer", "schedule"})

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class RankedSetting:
    """One setting of a sweep.

    Args:
        rank: From 1; None where no lane has a loss.
        setting: Values of what varied, by path, without the seed.
        label: The same in one line.
        lanes: Lane numbers, one lane per seed.
        seeds: Their seeds.
        diverged: Lane and step of those that diverged.
        losses: The loss of each lane that settings are ranked by; None where it has none.
        loss: Its mean over the lanes that have one; None where none has.
        metric: The validation metric, likewise.
        behind: Loss minus that of the best setting, over the seeds that both have; None for the best itself.
        status: `best`; `cannot tell` (the interval of `behind` includes zero); `worse`; `one seed` (no
            interval); `frozen` (stopped from outside before it settled); `diverged in part`; `diverged`.
    """

    rank: int | None
    setting: dict[str, Any]
    label: str
    lanes: tuple[int, ...]
    seeds: tuple[int, ...]
    diverged: tuple[tuple[int, int | None], ...]
    losses: tuple[float | None, ...]
    loss: Estimate | None
    metric: Estimate | None
    behind: Estimate | None
    status: str


@dataclass(frozen=True)
class Ranking:
    """The settings of a sweep, the best first.

    Args:
        by: `validation_loss`, or `train_loss` without a validation split.
        metric: Name of the metric; None where there is none.
        factors: Paths of what varied, without the seed and without settings that another choice implies.
        entries: The settings.
        seeds: The most lanes of one setting: seeds, folds, or both.
        over: What these differ in: `seeds`, `folds` or `seeds and folds`.
        lanes: Number of lanes.
        test_loss, test_metric: Of the best setting, on the test split; None where there is none.
    """

    by: str
    metric: str | None
    factors: tuple[str, ...]
    entries: tuple[RankedSetting, ...]
    seeds: int
    lanes: int
    test_loss: Estimate | None
    test_metric: Estimate | None
    over: str = "seeds"

    @property
    def best(self) -> RankedSetting | None:
        """The first setting; None where every lane diverged."""
        return self.entries[0] if self.entries and self.entries[0].rank == 1 else None

    @property
    def tied(self) -> tuple[RankedSetting, ...]:
        """Settings that cannot be distinguished from the best."""
        return tuple(entry for entry in self.entries if entry.status == TIED)

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain values, one table per setting."""
        return [asdict(entry) for entry in self.entries]


def rank(table: pl.DataFrame, varied: Sequence[str], metric: str | None = None) -> Ranking:
    """Rank the settings of a sweep.

    Args:
        table: One row per lane: `lane`, a column for each varied path, `stopped`, `steps`, `diverged_at`,
            `train_loss`, `validation_loss`, `validation_metric`, `test_loss`, `test_metric`.
        varied: Paths of what varied.
        metric: Name of the metric.

    Example:
        >>> ranking = rank(runs.table, runs.result["varied"])
        >>> ranking.best.label
        'optimizer.lr=0.003'
    """
    rows = table.to_dicts()
    by = (
        "validation_loss"
        if any(_finite(row, "validation_loss") is not None for row in rows)
        else "train_loss"
    )
    factors = _factors(rows, varied)
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(repr([row.get(path) for path in factors]), []).append(row)
    ordered = sorted(groups.values(), key=lambda lanes: _order(lanes, by))
    best = ordered[0] if ordered and _losses(ordered[0], by) else []
    entries = tuple(_ranked(lanes, number, factors, by, best) for number, lanes in enumerate(ordered, 1))
    return Ranking(
        by=by,
        metric=metric,
        factors=factors,
        entries=entries,
        seeds=max((len(entry.lanes) for entry in entries), default=0),
        lanes=len(rows),
        test_loss=_estimate(best, "test_loss"),
        test_metric=_estimate(best, "test_metric"),
        over=_repeats(rows),
    )


def _repeats(rows: Sequence[_Row]) -> str:
    """Return what the lanes of a setting differ in."""
    if len({row.get("fold") for row in rows}) < 2:
        return "seeds"
    return "folds" if len({_seed(row) for row in rows}) < 2 else "seeds and folds"


@checked(BadInput)
def ranking_of(sweep: Runs | Sweep) -> Ranking:
    """Rank the settings of a sweep, just trained or read from its folder."""
    return rank(sweep.table, sweep.result.get("varied") or (), text(sweep.result.get("metric")))


def as_dict(result: Mapping[str, Any], ranking: Ranking) -> dict[str, Any]:
    """Return the JSON of a sweep: the object of sweep.json, and the settings in order."""
    chosen = None
    if ranking.best is not None:
        chosen = {
            "setting": ranking.best.setting,
            "lanes": ranking.best.lanes,
            "test_loss": ranking.test_loss and asdict(ranking.test_loss),
            "test_metric": ranking.test_metric and asdict(ranking.test_metric),
        }
    return dict(result) | {"ranked_by": ranking.by, "best": chosen, "rank": ranking.to_list()}


def label_of(values: Mapping[str, Any]) -> str:
    """Write a setting in one line: `adamw lr=0.003`.

    A path is written by its last name where that is unique; a component by its value alone.
    """
    ends = [path.rpartition(".")[2] for path in values]
    words = []
    for path, end in zip(values, ends, strict=True):
        name = "" if path in COMPONENTS else f"{end if ends.count(end) == 1 else path}="
        words.append(name + setting(values[path]))
    return " ".join(words) or "the recipe"


def _ranked(
    lanes: list[_Row], number: int, factors: Sequence[str], by: str, best: list[_Row]
) -> RankedSetting:
    values = _values(lanes[0], factors)
    losses = _losses(lanes, by)
    behind = None if lanes is best else paired_difference(losses, _losses(best, by), _overlap(lanes))
    return RankedSetting(
        rank=number if losses else None,
        setting=values,
        label=label_of(values),
        lanes=tuple(_whole(row, "lane") for row in lanes),
        seeds=tuple(map(_seed, lanes)),
        diverged=tuple((_whole(row, "lane"), _step(row)) for row in lanes if _diverged(row)),
        losses=tuple(None if _diverged(row) else _finite(row, by) for row in lanes),
        loss=estimate_mean(losses.values(), _overlap(lanes)),
        metric=_estimate(lanes, "validation_metric"),
        behind=behind,
        status=_status(lanes, losses, lanes is best, behind),
    )


def _values(row: _Row, factors: Sequence[str]) -> dict[str, Any]:
    """Return the factors' values.

    A missing value belongs to another component where that component varies too; elsewhere it is off.
    """
    values: dict[str, Any] = {}
    for path in factors:
        component, dot, _ = path.partition(".")
        if row.get(path) is not None:
            values[path] = row[path]
        elif not (dot and component in factors):
            values[path] = "off"
    return values


def _status(lanes: list[_Row], losses: Mapping[Any, float], best: bool, behind: Estimate | None) -> str:
    if not losses:
        return DIVERGED
    if any(map(_diverged, lanes)):
        return UNSTABLE
    if best:
        return BEST
    if any(map(_cut_short, lanes)):
        return FROZEN
    if behind is None or behind.low is None or behind.high is None:
        return SINGLE_SEED
    return TIED if behind.low <= 0.0 <= behind.high else WORSE


def _order(lanes: list[_Row], by: str) -> tuple[float, ...]:
    """Return the sort key of a setting.

    Settings that completed come first, then frozen ones (those trained longest first), then those that
    diverged in part (their mean leaves out the worst seeds), then those that diverged.
    """
    losses = _losses(lanes, by)
    mean = sum(losses.values()) / len(losses) if losses else 0.0
    frozen = any(map(_cut_short, lanes))
    tier = 3 if not losses else 2 if any(map(_diverged, lanes)) else 1 if frozen else 0
    steps = -float(min(row.get("steps") or 0 for row in lanes)) if frozen else 0.0
    return (tier, steps, mean, min(float(_whole(row, "lane")) for row in lanes))


def _losses(lanes: Iterable[_Row], by: str) -> dict[tuple[int, int], float]:
    """Return the loss of each lane that has one, by seed and fold; that before divergence does not count."""
    rows = [row for row in lanes if not _diverged(row)]
    losses = {(_seed(row), _whole(row, "fold")): _finite(row, by) for row in rows}
    return {key: loss for key, loss in losses.items() if loss is not None}


def _estimate(lanes: Sequence[_Row], column: str) -> Estimate | None:
    values = [_finite(row, column) for row in lanes if not _diverged(row)]
    return estimate_mean((value for value in values if value is not None), _overlap(lanes))


def _overlap(lanes: Sequence[_Row]) -> float:
    """Return test rows over training rows for lanes on folds; 0 for others."""
    folds = len({row.get("fold") for row in lanes})
    return 1 / (folds - 1) if folds > 1 else 0.0


def _factors(rows: list[dict[str, Any]], varied: Sequence[str]) -> tuple[str, ...]:
    """Return what varied, without the seed and without settings that their component's choice implies."""
    paths = [path for path in varied if path != "seed"]
    return tuple(
        path
        for path in paths
        if not any(path.startswith(f"{whole}.") and _implied(rows, path, whole) for whole in paths)
    )


def _implied(rows: list[dict[str, Any]], path: str, component: str) -> bool:
    """Return whether `path` has a single value for each value of `component`."""
    values: dict[str, set[str]] = {}
    for row in rows:
        values.setdefault(repr(row.get(component)), set()).add(repr(row.get(path)))
    return all(len(distinct) == 1 for distinct in values.values())


def _diverged(row: _Row) -> bool:
    return row.get("stopped") == StopReason.DIVERGED


def _cut_short(row: _Row) -> bool:
    return StopReason.facts_of(row.get("stopped")).cut_short


def _seed(row: _Row) -> int:
    return _whole(row, "seed")


def _whole(row: _Row, name: str) -> int:
    """Return a whole number of a lane; 0 where it has none.

    Raises:
        RunFolderError: sweep.json holds something else there.
    """
    value = row.get(name) or 0
    try:
        if int(value) != value:
            raise ValueError(value)
        return int(value)
    except (OverflowError, TypeError, ValueError) as error:
        rule, hint = (
            f"{name} of a lane must be a whole number",
            "sweep.json is damaged: copy the folder again",
        )
        raise RunFolderError("sweep", rule, got=str(value)[:80], hint=hint) from error


def _step(row: _Row) -> int | None:
    step = as_number(row.get("diverged_at"))
    return None if step is None else int(step)


def _finite(row: _Row, column: str) -> float | None:
    """Return a finite number, or None."""
    value = as_number(row.get(column))
    return value if value is not None and value - value == 0.0 else None
