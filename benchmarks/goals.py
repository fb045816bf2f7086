"""The goals: what was promised, what was reached, and where not, what was tried.

Each goal reads the kept result of one benchmark. A figure is the median over the rounds of a contest, of
ratios within a round, with the lowest and the highest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import (
    diverging,
    document,
    frameworks,
    memory,
    overhead,
    peak,
    scaling,
    start,
    sweep,
    telemetry,
)
from benchmarks.machine import markdown, shown, spread
from benchmarks.processes import ratios
from benchmarks.tried import TRIED

Values = Callable[[dict[str, Any]], Sequence[float]]


@dataclass(frozen=True)
class Goal:
    """One promise.

    Args:
        work: What is done.
        against: What it is measured by.
        wanted: The bound.
        source: Which benchmark's result says it.
        values: Reads the figures out of that result, one for each round; KeyError where they are missing.
        at_least: Whether more is better; else the figure is to stay below.
        unit: `x`, `%`, or a word.
        moonshot: Whether it was set beyond what anyone has seen.
    """

    work: str
    against: str
    wanted: float
    source: str
    values: Values
    at_least: bool = True
    unit: str = "x"
    moonshot: bool = False

    @property
    def key(self) -> str:
        """Its name in `benchmarks.tried`."""
        return f"{self.work}: {self.against}"

    def bound(self) -> str:
        """Write the bound."""
        return f"{'>=' if self.at_least else '<='} {self.wanted:g}{_unit(self.unit)}"

    def reached(self, found: Sequence[float]) -> bool:
        """Tell whether the median keeps the bound."""
        middle = median(found)
        return middle >= self.wanted if self.at_least else middle <= self.wanted


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the goals as a table, and what was tried for those that are not reached."""
    rows, missed = [], []
    for goal in GOALS:
        found = _found(goal, results)
        if found is None:
            rows.append([goal.work, goal.against, goal.bound(), "", "not measured"])
            continue
        reached = goal.reached(found)
        verdict = "reached" if reached else "**not reached**" + (" (moonshot)" if goal.moonshot else "")
        digits = 1 if goal.unit == "%" else 2
        measured = shown(spread(found), digits) if len(found) > 1 else f"{found[0]:.{digits}f}"
        rows.append([goal.work, goal.against, goal.bound(), measured + _unit(goal.unit), verdict])
        if not reached:
            missed.append(f"- {goal.key}: {TRIED.get(goal.key, 'nothing was tried yet')}")
    said = markdown(["work", "measured by", "goal", "reached: median (range)", ""], rows)
    return said if not missed else said + "\n\nNot reached, and what was tried:\n" + "\n".join(missed)


def _found(goal: Goal, results: dict[str, dict[str, Any]]) -> Sequence[float] | None:
    try:
        return list(goal.values(results[goal.source])) or None
    except KeyError:  # not run, or a contestant could not take part
        return None


def _unit(unit: str) -> str:
    return f" {unit}" if len(unit) > 1 or unit == "%" else unit


def _over_scan(batch: int) -> Values:
    """Return over the quicker of the two forms of the scan, round by round."""

    def values(result: dict[str, Any]) -> list[float]:
        found = result["rows"][str(batch)]
        forms = [ratios(found["thalweg"], found[form]) for form in ("gather", "slices")]
        return [min(turn) for turn in zip(*forms, strict=True)]

    return values


def _over_pytorch(batch: int) -> Values:
    return lambda result: ratios(result["rows"][str(batch)]["thalweg"], result["rows"][str(batch)]["torch"])


def _over_frameworks(setting: str, *peers: str) -> Values:
    """Return over the quickest of these peers, round by round."""

    def values(result: dict[str, Any]) -> list[float]:
        found = result["rows"][setting]
        turns = zip(*(ratios(found["Thalweg"], found[peer]) for peer in peers), strict=True)
        return [min(turn) for turn in turns]

    return values


def _start(setting: str) -> Values:
    return lambda result: start.shares(result["rows"][setting], "scikit-learn")


def _small_cnn(result: dict[str, Any]) -> list[float]:
    """Return over PyTorch's quicker memory format, at the batch size where it is least."""
    found = []
    for name, times in result["milliseconds"].items():
        if name.startswith("CNN"):
            peer = min((times["PyTorch NCHW"], times["PyTorch NHWC"]), key=median)
            found.append([theirs / ours for theirs, ours in zip(peer, times["chosen"], strict=True)])
    return min(found, key=median)


def _over_sweeps(beginning: str) -> Values:
    def values(result: dict[str, Any]) -> list[float]:
        found = result["found"]
        name = next((name for name in found if name.startswith(beginning)), beginning)
        return ratios(found[sweep.CALL], found[name])

    return values


def _share(work: str) -> Values:
    return lambda result: [
        value if peak.flops_of(work) is None else 100 * value for value in peak.shares(result)[work]
    ]


def _telemetry(result: dict[str, Any]) -> list[float]:
    """Return the work where it costs most."""
    return [100 * share for share in max(telemetry.overheads(result).values(), key=median)]


SCAN, EAGER = "hand-written JAX scan, the quicker form", "eager PyTorch"
SMALL, LARGE = frameworks.NAMES["small"], frameworks.NAMES["large"]
TRIO = ("Lightning", "skorch", "fastai")
OVER_EAGER = {1: 10.0, 32: 3.0, 128: 1.5, 512: 1.3}
SWEEP = "32 learning rates x 3 epochs, 784-32-10"

GOALS: tuple[Goal, ...] = (
    *(
        Goal(f"784-512-10, batch {batch}", SCAN, 0.95, "document", _over_scan(batch))
        for batch in document.STEPS
    ),
    *(
        Goal(f"784-512-10, batch {batch}", EAGER, wanted, "document", _over_pytorch(batch))
        for batch, wanted in OVER_EAGER.items()
    ),
    Goal(SMALL, "Keras on JAX", 1.5, "frameworks", _over_frameworks("small", "Keras on JAX")),
    Goal(LARGE, "Keras on JAX", 1.1, "frameworks", _over_frameworks("large", "Keras on JAX")),
    Goal(SMALL, "scikit-learn", 3.0, "frameworks", _over_frameworks("small", "scikit-learn")),
    Goal(LARGE, "scikit-learn", 1.6, "frameworks", _over_frameworks("large", "scikit-learn")),
    Goal(
        SMALL, "Lightning, skorch, fastai: the quickest", 5.0, "frameworks", _over_frameworks("small", *TRIO)
    ),
    Goal(
        LARGE, "Lightning, skorch, fastai: the quickest", 2.0, "frameworks", _over_frameworks("large", *TRIO)
    ),
    Goal(f"start to end of epoch 1, {SMALL}", "scikit-learn's seconds", 0.7, "start", _start("small"), False),
    Goal(f"start to end of epoch 1, {LARGE}", "scikit-learn's seconds", 0.7, "start", _start("large"), False),
    Goal("small CNN", EAGER, 1.15, "convolutions", _small_cnn),
    Goal("tiny GPT", EAGER, 1.0, "gpt", lambda result: result["goal"]),
    Goal(
        SWEEP,
        "PyTorch, a process a core with one thread, fused",
        8.0,
        "sweep",
        _over_sweeps("PyTorch, a process a core"),
    ),
    Goal(SWEEP, "joblib and scikit-learn", 15.0, "sweep", _over_sweeps("joblib")),
    Goal(SWEEP, "PyTorch, one after another", 30.0, "sweep", _over_sweeps("PyTorch, one after another")),
    *(
        Goal(f"32 lanes, {work}", "the machine's matrix peak", wanted, "peak", _share(work), True, "%", True)
        for work, wanted in zip(peak.WORK, (85, 60, 50), strict=False)
    ),
    Goal(
        "32 lanes, 2-16-16-2, batch 32",
        "time of a lane-step",
        2.0,
        "peak",
        _share("2-16-16-2, batch 32"),
        False,
        "microseconds",
        True,
    ),
    Goal("telemetry", "the same loop without, where it costs most", 2.0, "telemetry", _telemetry, False, "%"),
    Goal(
        "thalweg fit",
        "the bare engine loop",
        5.0,
        "overhead",
        lambda result: [100 * share for share in overhead.overheads(result)],
        False,
        "%",
    ),
    Goal("a third of 24 lanes diverges", "the others alone", 1.1, "diverging", diverging.ratios, False),
    Goal("8 to 128 lanes", "dearest lane-step over cheapest", 1.15, "scaling", scaling.flatness, False),
    Goal(
        "32 to 256 lanes",
        "memory, deviation from a line",
        5.0,
        "scaling",
        lambda result: [100 * scaling.memory_slope(result)[1]],
        False,
        "%",
    ),
    Goal(
        "chunks of 8 to 2048 steps",
        "temporaries, growth beyond the outputs'",
        0.0,
        "memory",
        lambda result: [memory.growth(result)],
        False,
        "bytes a step",
    ),
)
