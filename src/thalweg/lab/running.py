"""Runs experiments: seeds in, a `Report` with table, verdict and figure out; and the whole book."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput
from thalweg.core.shown import Shown
from thalweg.lab.bench import Bench, Told
from thalweg.lab.book import experiments, find
from thalweg.lab.chart import svg
from thalweg.lab.experiment import Check, Experiment, Verdict, judge
from thalweg.run.folder.describe import environment

SEEDS = 5
MOST_SEEDS = 1_000


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """What an experiment gave.

    Args:
        experiment: The claim.
        verdict: By the rule `experiment.judge`.
        checks: What it rests on.
        table: One row for each lane, and what the experiment adds.
        figure: The text of an SVG file.
        told: Figures of the texts beside those measured.
        notes: Sentences for the reader.
        seeds: Seeds of the lanes.
        quick: Whether lanes were cut to a few updates, so that only arithmetic is judged.
        lane_steps: Updates computed.
        seconds: Of the whole experiment, with compilation.
        cpu_seconds: Of all cores, which does not depend on what else the machine does.
        environment: Machine and versions.
        day: When it ran, `2026-11-29`.
    """

    experiment: Experiment
    verdict: Verdict
    checks: tuple[Check, ...]
    table: pl.DataFrame
    figure: str
    told: tuple[Told, ...]
    notes: tuple[str, ...]
    seeds: tuple[int, ...]
    quick: bool
    lane_steps: int
    seconds: float
    cpu_seconds: float
    environment: dict[str, Any]
    day: str

    def __repr__(self) -> str:
        """Return the verdict and what it rests on."""
        lines = [f"{self.experiment.name}: {self.verdict}", self.experiment.claim]
        return "\n".join([*lines, *(check.sentence() for check in self.checks)])

    @property
    def arithmetic_holds(self) -> bool:
        """Whether the checks without noise hold; the quick form judges nothing else."""
        exact = [check for check in self.checks if check.arithmetic]
        conditional = [check.holds for check in exact if check.when]
        return all(check.holds for check in exact if not check.when) and (any(conditional) or not conditional)

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, checks and circumstances as plain values; the object of verdict.json."""
        return {
            "experiment": self.experiment.name,
            "chapter": self.experiment.chapter,
            "claim": self.experiment.claim,
            "source": self.experiment.source,
            "counts": self.experiment.counts,
            "verdict": str(self.verdict),
            "word": self.verdict.word.value,
            "holds_if": list(self.verdict.conditions),
            "fails_if": list(self.verdict.failed),
            "checks": [
                {
                    "what": check.what,
                    "when": check.when,
                    "mean": check.estimate.mean,
                    "low": check.estimate.low,
                    "high": check.estimate.high,
                    "number": check.estimate.number,
                    "rule": check.rule,
                    "bound": check.bound,
                    "holds": check.holds,
                }
                for check in self.checks
            ],
            "told": [{"what": t.what, "text": t.text, "came": t.came, "same": t.same} for t in self.told],
            "notes": list(self.notes),
            "seeds": list(self.seeds),
            "quick": self.quick,
            "lane_steps": self.lane_steps,
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "day": self.day,
            "environment": self.environment,
        }


@checked(BadInput)
def run(name: str, *, seeds: int | Iterable[int] = SEEDS, quick: bool = False) -> Report:
    """Run an experiment of the lab.

    Args:
        name: Its name; `thalweg lab` lists them.
        seeds: How many seeds, from 0, or which. Every verdict rests on an interval over them, so that one
            seed gives no more than a look.
        quick: One seed and a few updates: whether it runs, and whether its arithmetic holds.

    Returns:
        The table, the verdict, the figure, and what the verdict rests on.

    Raises:
        BadInput: There is no such experiment, or no seed.

    Example:
        >>> import thalweg as tw
        >>> report = tw.lab.run("one_step", seeds=2)
        >>> str(report.verdict)
        'reproduced'
    """
    return run_experiment(find(name), seeds=seeds, quick=quick)


def run_experiment(
    experiment: Experiment, *, seeds: int | Iterable[int] = SEEDS, quick: bool = False
) -> Report:
    """Run an experiment that is at hand, such as one of your own; see `run`."""
    chosen = _seeds(seeds)
    bench = Bench(chosen[:1] if quick else chosen, quick)
    started, cpu = time.perf_counter(), time.process_time()
    experiment.function(bench)
    return Report(
        experiment=experiment,
        verdict=judge(bench.checks),
        checks=tuple(bench.checks),
        table=pl.DataFrame(bench.rows, infer_schema_length=None),
        figure=svg(bench.pictures),
        told=tuple(bench.told),
        notes=tuple(bench.notes),
        seeds=bench.seeds,
        quick=quick,
        lane_steps=bench.lane_steps,
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu,
        environment=environment(),
        day=date.today().isoformat(),
    )


def run_all(
    *,
    seeds: int = SEEDS,
    quick: bool = False,
    starting: Callable[[Experiment], Any] | None = None,
) -> Iterator[Report]:
    """Run all experiments, chapter by chapter.

    Args:
        seeds, quick: As for `run`.
        starting: Receives each experiment before it runs.
    """
    for experiment in experiments():
        if starting is not None:
            starting(experiment)
        yield run_experiment(experiment, seeds=seeds, quick=quick)


def _seeds(seeds: Any) -> tuple[int, ...]:
    chosen: tuple[Any, ...] = ()
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        chosen = tuple(range(min(seeds, MOST_SEEDS + 1)))
    elif isinstance(seeds, Iterable):
        chosen = tuple(seeds)
    right = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in chosen)
    if not chosen or not right or len(set(chosen)) < len(chosen) or len(chosen) > MOST_SEEDS:
        rule = f"seeds must be a number from 1 to {MOST_SEEDS}, or different whole numbers of at least 0"
        raise BadInput("lab", rule, got=seeds, hint="for example seeds=5")
    return chosen
