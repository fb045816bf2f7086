"""A sweep's settings in order: mean over seeds, how sure that is, which cannot be told apart from the best.

Lanes that differ only in their seed are one setting. Settings are ranked by the validation loss: whoever
picks by the test part has no test part left, so that test figures are told of the setting that was chosen,
and of no other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import text
from thalweg.insight.over_seeds import Estimate, over_seeds
from thalweg.insight.wording import as_number, setting
from thalweg.run.folder.sweep_record import Sweep
from thalweg.run.run import Runs

BEST, TIED, WORSE, UNTOLD, FROZEN, UNSTABLE, LOST = (
    "best",
    "cannot tell",
    "worse",
    "one seed",
    "frozen",
    "diverged in part",
    "diverged",
)
# Paths whose value says itself what it is.
WHOLES = frozenset({"model", "optimizer", "schedule"})


@dataclass(frozen=True)
class Entry:
    """One setting.

    Args:
        rank: From 1; None for a setting of which no lane has a loss.
        setting: Values of what varied, by path, without the seed.
        label: The same in one line.
        lanes: Lane numbers, a lane for each seed.
        seeds: Their seeds.
        diverged: Lane and step of those that diverged.
        losses: What is ranked by, of each lane; None where it has none.
        loss: The same over the lanes that have it; None where none has.
        metric: The validation metric, likewise.
        behind: Loss minus the best setting's, over the seeds that both have; None for the best itself.
        standing: `best`; `cannot tell` (the interval of `behind` holds zero); `worse`; `one seed` (there is
            no interval); `frozen` (ended from outside, before it came to rest); `diverged in part`;
            `diverged`.
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
    standing: str


@dataclass(frozen=True)
class Ranking:
    """A sweep's settings, the best first.

    Args:
        by: `validation_loss`, or `train_loss` where there is no validation part.
        metric: Name of the metric; None where there is none.
        factors: Paths of what varied, without the seed and without what another choice brings with it.
        entries: One for each setting.
        seeds: How many there are at most of one setting.
        lanes: How many there are.
        test_loss, test_metric: Of the best setting, on the test part; None where there is none.
    """

    by: str
    metric: str | None
    factors: tuple[str, ...]
    entries: tuple[Entry, ...]
    seeds: int
    lanes: int
    test_loss: Estimate | None
    test_metric: Estimate | None

    @property
    def best(self) -> Entry | None:
        """The first setting; None when every lane diverged."""
        return self.entries[0] if self.entries and self.entries[0].rank == 1 else None

    @property
    def tied(self) -> tuple[Entry, ...]:
        """Settings that cannot be told apart from the best."""
        return tuple(entry for entry in self.entries if entry.standing == TIED)

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain values, a table for each setting."""
        return [asdict(entry) for entry in self.entries]


def rank(table: pl.DataFrame, varied: Sequence[str], metric: str | None = None) -> Ranking:
    """Rank the settings of a sweep.

    Args:
        table: One row for each lane: `lane`, a column for each varied path, `stopped`, `steps`,
            `diverged_at`, `train_loss`, `validation_loss`, `validation_metric`, `test_loss`, `test_metric`.
        varied: Paths of what varied.
        metric: Name of the metric.

    Example:
        >>> ranking = rank(runs.table, runs.result["varied"])
        >>> ranking.best.label
        'optimizer.lr=0.003'
    """
    rows = table.to_dicts()
    by = "validation_loss" if any(_of(row, "validation_loss") is not None for row in rows) else "train_loss"
    factors = _factors(rows, varied)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(repr([row.get(path) for path in factors]), []).append(row)
    ordered = sorted(groups.values(), key=lambda lanes: _order(lanes, by))
    best = ordered[0] if ordered and _losses(ordered[0], by) else None
    entries = tuple(_entry(lanes, place, factors, by, best) for place, lanes in enumerate(ordered, 1))
    chosen = best or []
    return Ranking(
        by=by,
        metric=metric,
        factors=factors,
        entries=entries,
        seeds=max((len(entry.lanes) for entry in entries), default=0),
        lanes=len(rows),
        test_loss=_estimate(chosen, "test_loss"),
        test_metric=_estimate(chosen, "test_metric"),
    )


def ranking_of(sweep: Runs | Sweep) -> Ranking:
    """Rank the settings of a sweep, just trained or read from its folder."""
    metric = sweep.result.get("metric")
    return rank(sweep.table, sweep.result.get("varied") or (), text(metric))


def as_dict(result: Mapping[str, Any], ranking: Ranking) -> dict[str, Any]:
    """Return what a sweep's JSON holds: the object of sweep.json, and the settings in order."""
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
    """Write a setting on one line: `adamw lr=0.003`.

    A path is written by its end where that is enough to tell it from the others; a whole part by its name.
    """
    ends = [path.rpartition(".")[2] for path in values]
    words = []
    for path, end in zip(values, ends, strict=True):
        name = "" if path in WHOLES else f"{end if ends.count(end) == 1 else path}="
        words.append(name + setting(values[path]))
    return " ".join(words) or "the recipe"


def _entry(
    lanes: list[dict[str, Any]],
    place: int,
    factors: Sequence[str],
    by: str,
    best: list[dict[str, Any]] | None,
) -> Entry:
    values = _values(lanes[0], factors)
    losses = _losses(lanes, by)
    behind = None if best is None or lanes is best else _behind(losses, _losses(best, by))
    return Entry(
        rank=place if losses else None,
        setting=values,
        label=label_of(values),
        lanes=tuple(int(row["lane"]) for row in lanes),
        seeds=tuple(int(row.get("seed") or 0) for row in lanes),
        diverged=tuple((int(row["lane"]), _step(row)) for row in lanes if _diverged(row)),
        losses=tuple(None if _diverged(row) else _of(row, by) for row in lanes),
        loss=over_seeds(losses.values()),
        metric=_estimate(lanes, "validation_metric"),
        behind=behind,
        standing=_standing(lanes, losses, lanes is best, behind),
    )


def _values(row: Mapping[str, Any], factors: Sequence[str]) -> dict[str, Any]:
    """Return the factors' values. Where a whole part varies, a setting that is none belongs to another part;
    elsewhere it is off.
    """
    found: dict[str, Any] = {}
    for path in factors:
        whole, dot, _ = path.partition(".")
        if row.get(path) is not None:
            found[path] = row[path]
        elif not (dot and whole in factors):
            found[path] = "off"
    return found


def _standing(
    lanes: list[dict[str, Any]], losses: dict[int, float], best: bool, behind: Estimate | None
) -> str:
    if not losses:
        return LOST
    if any(map(_diverged, lanes)):
        return UNSTABLE
    if best:
        return BEST
    if any(map(_cut_short, lanes)):
        return FROZEN
    if behind is None or behind.low is None or behind.high is None:
        return UNTOLD
    return TIED if behind.low <= 0.0 <= behind.high else WORSE


def _order(lanes: list[dict[str, Any]], by: str) -> tuple[float, ...]:
    """Sort: settings that came through, then frozen ones (the farthest first), then those that diverged in
    part (their mean leaves out the seeds that went worst), then the lost ones.
    """
    losses = _losses(lanes, by)
    mean = sum(losses.values()) / len(losses) if losses else 0.0
    early = any(map(_cut_short, lanes))
    tier = 3 if not losses else 2 if any(map(_diverged, lanes)) else 1 if early else 0
    steps = -float(min(row.get("steps") or 0 for row in lanes)) if early else 0.0
    return (tier, steps, mean, min(float(row["lane"]) for row in lanes))


def _losses(lanes: Iterable[dict[str, Any]], by: str) -> dict[int, float]:
    """Return the loss of every lane that has one, by seed; what one had before it diverged does not count."""
    found = {int(row.get("seed") or 0): _of(row, by) for row in lanes if not _diverged(row)}
    return {seed: loss for seed, loss in found.items() if loss is not None}


def _behind(losses: dict[int, float], best: dict[int, float]) -> Estimate | None:
    return over_seeds([losses[seed] - best[seed] for seed in losses if seed in best])


def _estimate(lanes: Iterable[dict[str, Any]], column: str) -> Estimate | None:
    found = [_of(row, column) for row in lanes if not _diverged(row)]
    return over_seeds([value for value in found if value is not None])


def _factors(rows: list[dict[str, Any]], varied: Sequence[str]) -> tuple[str, ...]:
    """Return what varied, without the seed and without what another optimizer only brings with it."""
    paths = [path for path in varied if path != "seed"]
    return tuple(
        path
        for path in paths
        if not any(path.startswith(f"{whole}.") and _follows(rows, path, whole) for whole in paths)
    )


def _follows(rows: list[dict[str, Any]], path: str, whole: str) -> bool:
    """Tell whether `path` has one value for each value of `whole`."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        seen.setdefault(repr(row.get(whole)), set()).add(repr(row.get(path)))
    return all(len(values) == 1 for values in seen.values())


def _diverged(row: Mapping[str, Any]) -> bool:
    return row.get("stopped") == StopReason.DIVERGED


def _cut_short(row: Mapping[str, Any]) -> bool:
    return StopReason.facts_of(row.get("stopped")).cut_short


def _step(row: Mapping[str, Any]) -> int | None:
    step = as_number(row.get("diverged_at"))
    return None if step is None else int(step)


def _of(row: Mapping[str, Any], column: str) -> float | None:
    """Return a finite number, or None."""
    value = as_number(row.get(column))
    return value if value is not None and value - value == 0.0 else None
