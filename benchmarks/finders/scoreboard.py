"""Learning-rate finders beside each other, on tasks whose best rate is known from some hundred runs each.

`python -m benchmarks finders` scores every method on every task, those set aside (`set_aside.py`) apart from
those that the finder was made on; `... finders --development` scores the latter alone and keeps nothing.
The truth is read from where `truth.py` keeps it; what is missing is run first. Picks are kept task by task
until the sources change, so that a run that was broken off goes on where it was.
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

HALVES = "(the truth's first three seeds, judged by its other two)"

Picks = dict[str, dict[str, Pick]]


def run(quick: bool, seconds: float = math.inf) -> dict[str, Any]:
    """Score every method on every task.

    Args:
        quick: Two tasks only.
        seconds: Begin no further task after so many; another call goes on from there.
    """
    chosen = [task for task in TASKS if not quick or task.name in QUICK]
    return told(chosen, picked(chosen, baselines.methods(), seconds))


def develop(only: Sequence[str], task: str = "", seconds: float = math.inf) -> dict[str, Any]:
    """Score some methods, or all, on the tasks that a finder may be made on, or those named like `task`."""
    known = baselines.methods()
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"no method {unknown[0]!r}; there are {', '.join(known)}")
    chosen = {name: method for name, method in known.items() if not only or name in only}
    named = [one for one in development() if task in one.name]
    return told(named, picked(named, chosen, seconds))


def picked(tasks: Sequence[Task], methods: dict[str, Method], seconds: float) -> Picks:
    """Return each task's picks by method; what is kept of these sources is not run again."""
    begun, marks = time.perf_counter(), {name: fingerprint(one) for name, one in methods.items()}
    found: Picks = {}
    for done, task in enumerate(tasks):
        known = truth.read(KEPT).get(task.name, {})
        missing = {name: one for name, one in methods.items() if known.get(name, {}).get("of") != marks[name]}
        if missing and time.perf_counter() - begun > seconds:
            raise SystemExit(f"{len(tasks) - done} of {len(tasks)} tasks are left: the same command goes on")
        if missing:
            curve = curve_of(_lanes(task))
            news = _with_losses(task, curve, {name: one.pick(task) for name, one in missing.items()})
            known |= {name: {"of": marks[name], "pick": pick.to_dict()} for name, pick in news.items()}
            truth.put(KEPT, {task.name: known})
            print(f"{done + 1} of {len(tasks)}: {task.name}", file=sys.stderr)
            jax.clear_caches()  # programs are mapped memory, of which a process may have 65,530 pieces
        found[task.name] = {name: Pick.from_dict(known[name]["pick"]) for name in methods}
    return found


def told(tasks: Iterable[Task], picks: Picks) -> dict[str, Any]:
    """Return a result: scores and what is known of the tasks, in two groups."""
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
        "labels": labels | {"halves": "(the truth's first three seeds, by its other two)"},
        "groups": groups,
    }


def fingerprint(method: Method) -> str:
    """Return a SHA-256 over the sources that a method's picks depend on most."""
    files = [Path(tasks.__file__), *(at for pattern in method.sources for at in SOURCE.glob(pattern))]
    asked = method.pick.func if isinstance(method.pick, partial) else method.pick
    sources = [inspect.getsource(asked).encode(), *(at.read_bytes() for at in sorted(files))]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def _lanes(task: Task) -> truth.Lanes:
    """Return a task's truth, which is run where it is not kept."""
    lanes = truth.kept(task)
    if lanes is None:
        lanes = truth.compute(task)
        truth.keep(lanes)
    return lanes


def _with_losses(task: Task, curve: Curve, picks: dict[str, Pick]) -> dict[str, Pick]:
    """Run the picked rates that the truth does not hold."""

    def is_lacking(pick: Pick) -> bool:
        if pick.rate is None or pick.losses is not None or curve.covers(pick.rate):
            return False
        return not math.isclose(pick.rate, curve.own, rel_tol=1e-6)

    lacking = {name: pick for name, pick in picks.items() if is_lacking(pick)}
    ran = baselines.at_rates(task, sorted({pick.rate for pick in lacking.values() if pick.rate is not None}))
    return picks | {name: replace(pick, losses=ran[pick.rate]) for name, pick in lacking.items() if pick.rate}
