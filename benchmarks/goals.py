"""The performance goals: the bound, the measured figure and, for goals not reached, what was tried.

Each goal reads the saved result of one benchmark. A figure is the median over the rounds of a contest, with
the lowest and the highest; ratios are taken within a round.
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
    """One performance goal.

    Args:
        work: The workload.
        baseline: What it is compared with.
        bound: The figure to reach.
        source: Name of the benchmark whose result holds the figures.
        values: Reads the figures from that result, one per round; raises KeyError if they are missing.
        at_least: Whether the bound is a lower bound; otherwise it is an upper bound.
        unit: `x`, `%`, or a word.
        moonshot: Whether the bound lies beyond anything measured elsewhere.
    """

    work: str
    baseline: str
    bound: float
    source: str
    values: Values
    at_least: bool = True
    unit: str = "x"
    moonshot: bool = False

    @property
    def key(self) -> str:
        """Its key in `benchmarks.tried`."""
        return f"{self.work}: {self.baseline}"

    def bound_text(self) -> str:
        """Return the bound as text, such as `>= 1.5x`."""
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{_unit(self.unit)}"

    def reached(self, figures: Sequence[float]) -> bool:
        """Return whether the median of the figures meets the bound."""
        middle = median(figures)
        return middle >= self.bound if self.at_least else middle <= self.bound


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the goals as a Markdown table, followed by what was tried for those not reached."""
    rows, missed = [], []
    for goal in GOALS:
        figures = _figures(goal, results)
        if figures is None:
            rows.append([goal.work, goal.baseline, goal.bound_text(), "", "not measured"])
            continue
        reached = goal.reached(figures)
        verdict = "reached" if reached else "**not reached**" + (" (moonshot)" if goal.moonshot else "")
        digits = 1 if goal.unit == "%" else 2
        measured = shown(spread(figures), digits) if len(figures) > 1 else f"{figures[0]:.{digits}f}"
        rows.append([goal.work, goal.baseline, goal.bound_text(), measured + _unit(goal.unit), verdict])
        if not reached:
            missed.append(f"- {goal.key}: {TRIED.get(goal.key, 'nothing was tried yet')}")
    text = markdown(["workload", "baseline", "goal", "measured: median (range)", ""], rows)
    return text if not missed else text + "\n\nGoals not reached, and what was tried:\n" + "\n".join(missed)


def _figures(goal: Goal, results: dict[str, dict[str, Any]]) -> Sequence[float] | None:
    try:
        return list(goal.values(results[goal.source])) or None
    except KeyError:  # the benchmark was not run, or a contestant could not start
        return None


def _unit(unit: str) -> str:
    return f" {unit}" if len(unit) > 1 or unit == "%" else unit


def _over_scan(batch: int) -> Values:
    """Return the speed relative to the faster of the two scan variants, round by round."""

    def values(result: dict[str, Any]) -> list[float]:
        row = result["rows"][str(batch)]
        variants = [ratios(row["thalweg"], row[variant]) for variant in ("gather", "slices")]
        return [min(in_round) for in_round in zip(*variants, strict=True)]

    return values


def _over_pytorch(batch: int) -> Values:
    return lambda result: ratios(result["rows"][str(batch)]["thalweg"], result["rows"][str(batch)]["torch"])


def _over_frameworks(setting: str, *peers: str) -> Values:
    """Return the speed relative to the fastest of these peers, round by round."""

    def values(result: dict[str, Any]) -> list[float]:
        row = result["rows"][setting]
        rounds = zip(*(ratios(row["Thalweg"], row[peer]) for peer in peers), strict=True)
        return [min(in_round) for in_round in rounds]

    return values


def _start(setting: str) -> Values:
    return lambda result: start.shares(result["rows"][setting], "scikit-learn")


def _small_cnn(result: dict[str, Any]) -> list[float]:
    """Return the speed relative to PyTorch's faster memory format, at the least favourable batch size."""
    by_batch_size = []
    for name, times in result["milliseconds"].items():
        if name.startswith("CNN"):
            peer = min((times["PyTorch NCHW"], times["PyTorch NHWC"]), key=median)
            by_batch_size.append([theirs / ours for theirs, ours in zip(peer, times["chosen"], strict=True)])
    return min(by_batch_size, key=median)


def _over_sweeps(prefix: str) -> Values:
    """Return the speed relative to the contestant whose label starts with `prefix`, round by round."""

    def values(result: dict[str, Any]) -> list[float]:
        contestants = result["found"]
        label = next((label for label in contestants if label.startswith(prefix)), prefix)
        return ratios(contestants[sweep.CALL], contestants[label])

    return values


def _share(work: str) -> Values:
    """Return percentages of the peak; microseconds per lane-step for a workload that is not matrix work."""
    return lambda result: [
        value if peak.flops_of(work) is None else 100 * value for value in peak.shares(result)[work]
    ]


def _telemetry(result: dict[str, Any]) -> list[float]:
    """Return the overhead in percent of the workload where it is largest."""
    return [100 * share for share in max(telemetry.overheads(result).values(), key=median)]


SCAN, EAGER = "hand-written JAX scan, faster variant", "eager PyTorch"
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
        Goal(f"784-512-10, batch {batch}", EAGER, bound, "document", _over_pytorch(batch))
        for batch, bound in OVER_EAGER.items()
    ),
    Goal(SMALL, "Keras on JAX", 1.5, "frameworks", _over_frameworks("small", "Keras on JAX")),
    Goal(LARGE, "Keras on JAX", 1.1, "frameworks", _over_frameworks("large", "Keras on JAX")),
    Goal(SMALL, "scikit-learn", 3.0, "frameworks", _over_frameworks("small", "scikit-learn")),
    Goal(LARGE, "scikit-learn", 1.6, "frameworks", _over_frameworks("large", "scikit-learn")),
    Goal(SMALL, "fastest of Lightning, skorch, fastai", 5.0, "frameworks", _over_frameworks("small", *TRIO)),
    Goal(LARGE, "fastest of Lightning, skorch, fastai", 2.0, "frameworks", _over_frameworks("large", *TRIO)),
    Goal(
        f"process start to end of epoch 1, {SMALL}",
        "scikit-learn's time",
        0.7,
        "start",
        _start("small"),
        False,
    ),
    Goal(
        f"process start to end of epoch 1, {LARGE}",
        "scikit-learn's time",
        0.7,
        "start",
        _start("large"),
        False,
    ),
    Goal("small CNN", EAGER, 1.15, "convolutions", _small_cnn),
    Goal("tiny GPT", EAGER, 1.0, "gpt", lambda result: result["goal"]),
    Goal(
        SWEEP,
        "PyTorch, one single-threaded process per core, fused",
        8.0,
        "sweep",
        _over_sweeps("PyTorch, one single-threaded process per core"),
    ),
    Goal(SWEEP, "scikit-learn with joblib", 15.0, "sweep", _over_sweeps("scikit-learn with joblib")),
    Goal(SWEEP, "PyTorch, one after another", 30.0, "sweep", _over_sweeps("PyTorch, one after another")),
    *(
        Goal(
            f"32 lanes, {work}",
            "the machine's peak matrix throughput",
            bound,
            "peak",
            _share(work),
            True,
            "%",
            True,
        )
        for work, bound in zip(peak.WORK, (85, 60, 50), strict=False)
    ),
    Goal(
        "32 lanes, 2-16-16-2, batch 32",
        "time per lane-step",
        2.0,
        "peak",
        _share("2-16-16-2, batch 32"),
        False,
        "microseconds",
        True,
    ),
    Goal(
        "telemetry", "the same loop without telemetry, worst case", 2.0, "telemetry", _telemetry, False, "%"
    ),
    Goal(
        "thalweg fit",
        "the bare engine loop",
        5.0,
        "overhead",
        lambda result: [100 * share for share in overhead.overheads(result)],
        False,
        "%",
    ),
    Goal("a third of 24 lanes diverges", "the other lanes alone", 1.1, "diverging", diverging.ratios, False),
    Goal("8 to 128 lanes", "slowest lane-step over fastest", 1.15, "scaling", scaling.flatness, False),
    Goal(
        "32 to 256 lanes",
        "memory, deviation from linear",
        5.0,
        "scaling",
        lambda result: [100 * scaling.memory_slope(result)[1]],
        False,
        "%",
    ),
    Goal(
        "chunks of 8 to 2048 steps",
        "temporaries, growth beyond that of the outputs",
        0.0,
        "memory",
        lambda result: [memory.growth(result)],
        False,
        "bytes per step",
    ),
)
