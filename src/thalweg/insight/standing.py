"""How a run stands against the references of its record: read from result.json, which may be of any age."""

from dataclasses import dataclass

from thalweg.insight.intervals import range_text
from thalweg.insight.outcome import table
from thalweg.insight.wording import SHARES, as_number, figure, kind_of
from thalweg.run.folder.record import Record

BETTER, WORSE, UNCLEAR = "better", "worse", "unclear"


@dataclass(frozen=True)
class Standing:
    """One reference against the network, on the same test rows.

    Args:
        name: The method.
        value: Its accuracy, or root mean squared error in the target's unit.
        rows: Training rows that it learned from.
        seconds: What it took.
        difference: Its value minus the network's.
        interval: 95 % interval of that over the choice of rows; None where there is none.
        relation: Of the method to the network: `better` or `worse` where the interval excludes 0, else
            `unclear`.
    """

    name: str
    value: float
    rows: float | None
    seconds: float | None
    difference: float | None
    interval: tuple[float, float] | None
    relation: str

    def gap(self, metric: str) -> str:
        """Write the size of the difference with its interval: `1.3 points (95 % interval 0.6 to 2.0)`."""
        if self.difference is None:
            return ""
        points, unit = kind_of(metric) in SHARES, " points" if kind_of(metric) in SHARES else ""
        low, high = self.interval if self.interval is not None else (self.difference, self.difference)
        ends = sorted((abs(low), abs(high)) if low * high >= 0 else (low, high))
        shown = [figure(100 * end if points else end, 3) for end in (abs(self.difference), *ends)]
        inside = "" if self.interval is None else f" (95 % interval {shown[1]} to {shown[2]})"
        return f"{shown[0]}{unit}{inside}"


@dataclass(frozen=True)
class Against:
    """The references of a run.

    Args:
        metric: `accuracy` or `rmse`.
        rows: Test rows.
        network: The network's value.
        standings: One for each reference, the best first.
        skipped: By method: why it was left out.
        seconds, allowed: What they took, and what they were allowed.
    """

    metric: str
    rows: float | None
    network: float | None
    standings: tuple[Standing, ...]
    skipped: dict[str, str]
    seconds: float | None
    allowed: float | None

    def named(self, relation: str) -> list[Standing]:
        """Return the references that stand so to the network."""
        return [each for each in self.standings if each.relation == relation]


def standing(record: Record) -> Against | None:
    """Return the references of a run; None where it has none."""
    entry = table(record.result, "references")
    if not entry:
        return None
    metric, higher = str(entry.get("metric")), entry.get("higher_is_better") is True
    scores = entry.get("scores")
    found = [_standing(each, higher) for each in scores or () if isinstance(each, dict)]
    numbers = (as_number(entry.get(name)) for name in ("rows", "network", "seconds", "allowed"))
    rows, network, seconds, allowed = numbers
    skipped = {str(name): str(why) for name, why in table(entry, "skipped").items()}
    kept = tuple(each for each in found if each is not None)
    return Against(metric, rows, network, kept, skipped, seconds, allowed)


def _standing(entry: dict[str, object], higher: bool) -> Standing | None:
    value, low, high = (as_number(entry.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return None
    interval = None if low is None or high is None else (low, high)
    relation = UNCLEAR
    if interval is not None and interval[0] * interval[1] > 0:
        relation = BETTER if (interval[0] > 0) == higher else WORSE
    rows, seconds, difference = (as_number(entry.get(name)) for name in ("rows", "seconds", "difference"))
    return Standing(str(entry.get("name")), value, rows, seconds, difference, interval, relation)


def difference_text(metric: str, one: Standing) -> str:
    """Write a difference with its sign, and its interval: `-1.3 (-2.0 to -0.6) points`."""
    if one.difference is None:
        return ""
    points = kind_of(metric) in SHARES
    scale, unit = (100, " points") if points else (1, "")
    low, high = one.interval or (0.0, 0.0)
    ends = "" if one.interval is None else range_text(None, (scale * low, scale * high))
    return f"{scale * one.difference:+.3g}{unit}" + (f" ({ends})" if ends else "")
