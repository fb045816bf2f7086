"""Compare learning-rate finders on tasks whose best rate is known from some hundred runs each.

`python -m benchmarks finders` scores every method on every task. The tasks set aside (`set_aside.py`) are
reported separately from those that the finder was developed on; `... finders --development` scores only the
latter and saves nothing. The ground truth is read from where `truth.py` saves it; missing tasks run first.
Picks are saved task by task and reused until the sources change, so an interrupted run can be continued.
"""

import hashlib
import inspect
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from benchmarks.finders import baselines, tasks, truth
from benchmarks.finders.baselines import Method
from benchmarks.finders.scores import Curve, Pick, by_halves, curve_of, score
from benchmarks.finders.set_aside import NAMES, development
from benchmarks.finders.tables import table as table
from benchmarks.finders.tasks import TASKS, Task

KEPT = truth.RESULTS / "finders-picks.json"
SOURCE = Path(__file__).parents[2] / "src" / "thalweg"
QUICK = ("iris mlp:16 adam constant full", "moons mlp:16 sgd constant 32")

HALVES = "(ground truth: first three seeds, scored by the other two)"

Picks = dict[str, dict[str, Pick]]


def run(quick: bool, seconds: float = math.inf) -> dict[str, Any]:
    """Score every method on every task.

    Args:
        quick: Two tasks only.
        seconds: Start no task after this time; another call continues from there.
    """
    chosen = [task for task in TASKS if not quick or task.name in QUICK]
    return result_of(chosen, picked(chosen, baselines.methods(), seconds))


def develop(only: Sequence[str], task: str = "", seconds: float = math.inf) -> dict[str, Any]:
    """Score methods (`only`, or all) on the development tasks whose name contains `task`."""
    known = baselines.methods()
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"no method {unknown[0]!r}; the methods are {', '.join(known)}")
    methods = {name: method for name, method in known.items() if not only or name in only}
    selected = [candidate for candidate in development() if task in candidate.name]
    return result_of(selected, picked(selected, methods, seconds))


def picked(tasks: Sequence[Task], methods: dict[str, Method], seconds: float) -> Picks:
    """Return the picks of each task by method; picks saved with the same sources are reused."""
    start, marks = time.perf_counter(), {name: fingerprint(method) for name, method in methods.items()}
    picks: Picks = {}
    for done, task in enumerate(tasks):
        saved = truth.read(KEPT).get(task.name, {})
        missing = {
            name: method for name, method in methods.items() if saved.get(name, {}).get("of") != marks[name]
        }
        if missing and time.perf_counter() - start > seconds:
            raise SystemExit(
                f"{len(tasks) - done} of {len(tasks)} tasks are left; run the same command to continue"
            )
        if missing:
            curve = curve_of(_lanes(task))
            new_picks = _with_losses(
                task, curve, {name: method.pick(task) for name, method in missing.items()}
            )
            saved |= {name: {"of": marks[name], "pick": pick.to_dict()} for name, pick in new_picks.items()}
            truth.put(KEPT, {task.name: saved})
            print(f"{done + 1} of {len(tasks)}: {task.name}", file=sys.stderr)
            jax.clear_caches()  # a process may have at most 65,530 memory maps, and programs use them
        picks[task.name] = {name: Pick.from_dict(saved[name]["pick"]) for name in methods}
    return picks


def result_of(tasks: Iterable[Task], picks: Picks) -> dict[str, Any]:
    """Return the result: the scores and facts of each task, in two groups."""
    groups: dict[str, Any] = {"development": {}, "set aside": {}}
    for task in tasks:
        lanes = _lanes(task)
        curve = curve_of(lanes)
        scores = {name: score(curve, pick, task.steps) for name, pick in picks[task.name].items()}
        groups["set aside" if task.name in NAMES else "development"][task.name] = {
            "steps": task.steps,
            "own": curve.own,
            "best": curve.best,
            "lowest": curve.lowest,
            "own_loss": curve.own_loss,
            "gap": curve.gap,
            "flat": curve.is_flat,
            "lane_steps": lanes.lane_steps,
            "seconds": lanes.seconds,
            "scores": scores | {"halves": by_halves(lanes)},
        }
    labels = {name: method.label for name, method in baselines.methods().items()}
    return {
        "labels": labels | {"halves": HALVES},
        "groups": groups,
    }


def fingerprint(method: Method) -> str:
    """Return a SHA-256 over the main sources that determine a method's picks."""
    files = [Path(tasks.__file__), *(path for pattern in method.sources for path in SOURCE.glob(pattern))]
    function = method.pick.func if isinstance(method.pick, partial) else method.pick
    sources = [inspect.getsource(function).encode(), *(path.read_bytes() for path in sorted(files))]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def _lanes(task: Task) -> truth.Lanes:
    """Return the ground truth of a task; run it if it is not saved."""
    lanes = truth.kept(task)
    if lanes is None:
        lanes = truth.compute(task)
        truth.keep(lanes)
    return lanes


def _with_losses(task: Task, curve: Curve, picks: dict[str, Pick]) -> dict[str, Pick]:
    """Run the picked rates that the ground truth does not contain."""

    def is_lacking(pick: Pick) -> bool:
        if pick.rate is None or pick.losses is not None or curve.covers(pick.rate):
            return False
        return not math.isclose(pick.rate, curve.own, rel_tol=1e-6)

    missing = {name: pick for name, pick in picks.items() if is_lacking(pick)}
    losses = baselines.at_rates(
        task, sorted({pick.rate for pick in missing.values() if pick.rate is not None})
    )
    return picks | {
        name: replace(pick, losses=losses[pick.rate]) for name, pick in missing.items() if pick.rate
    }
