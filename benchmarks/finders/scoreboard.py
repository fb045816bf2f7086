"""Learning-rate finders beside each other, on tasks whose best rate is known from some hundred runs each.

`python -m benchmarks finders` scores every method on every task, those set aside (`set_aside.py`) apart from
those that the finder was made on; `... finders --development` scores the latter alone and keeps nothing.
The truth is read from where `truth.py` keeps it; what is missing is run first. Scores are kept task by task
until the sources change, so that a run that was broken off goes on where it was.
"""

import hashlib
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.finders import baselines, truth
from benchmarks.finders.baselines import Method
from benchmarks.finders.scores import Curve, Pick, curve_of, score
from benchmarks.finders.set_aside import NAMES, development
from benchmarks.finders.tables import table as table
from benchmarks.finders.tasks import TASKS, Task

PARTIAL = truth.RESULTS / "finders-scores.json"
SOURCE = Path(__file__).parents[2] / "src" / "thalweg"
QUICK = ("iris mlp:16 adam constant full", "moons mlp:16 sgd constant 32")

Scores = dict[str, dict[str, dict[str, Any]]]


def run(quick: bool, seconds: float = math.inf) -> dict[str, Any]:
    """Score every method on every task.

    Args:
        quick: Two tasks only.
        seconds: Begin no further task after so many; another call goes on from there.
    """
    tasks = [task for task in TASKS if not quick or task.name in QUICK]
    scores = scored(tasks, baselines.methods(), seconds)
    result = told(tasks, scores)
    if not quick:
        PARTIAL.unlink(missing_ok=True)
    return result


def develop(only: Sequence[str], task: str = "", seconds: float = math.inf) -> dict[str, Any]:
    """Score some methods, or all, on the tasks that a finder may be made on, or those named like `task`."""
    known = baselines.methods()
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"no method {unknown[0]!r}; there are {', '.join(known)}")
    chosen = {name: method for name, method in known.items() if not only or name in only}
    tasks = [one for one in development() if task in one.name]
    return told(tasks, scored(tasks, chosen, seconds))


def scored(tasks: Sequence[Task], methods: dict[str, Method], seconds: float) -> Scores:
    """Return each task's scores by method; what is kept of these sources is not run again."""
    begun, marks = time.perf_counter(), {name: fingerprint(one) for name, one in methods.items()}
    found: Scores = {}
    for done, task in enumerate(tasks):
        known = truth.read(PARTIAL).get(task.name, {})
        missing = {name: one for name, one in methods.items() if known.get(name, {}).get("of") != marks[name]}
        if missing and time.perf_counter() - begun > seconds:
            raise SystemExit(f"{len(tasks) - done} of {len(tasks)} tasks are left: the same command goes on")
        if missing:
            news = {name: one | {"of": marks[name]} for name, one in on_task(task, missing).items()}
            known = known | news
            truth.put(PARTIAL, {task.name: known})
            print(f"{done + 1} of {len(tasks)}: {task.name}", file=sys.stderr)
        found[task.name] = {name: known[name] for name in methods}
    return found


def on_task(task: Task, methods: dict[str, Method]) -> dict[str, dict[str, Any]]:
    """Return every method's scores on a task."""
    lanes = truth.kept(task)
    if lanes is None:
        lanes = truth.compute(task)
        truth.keep(lanes)
    curve = curve_of(lanes)
    return {
        name: score(curve, _with_losses(task, curve, method.pick(task)), task.steps)
        for name, method in methods.items()
    }


def told(tasks: Iterable[Task], scores: Scores) -> dict[str, Any]:
    """Return a result: scores and what is known of the tasks, in two groups."""
    groups: dict[str, Any] = {"development": {}, "set aside": {}}
    for task in tasks:
        lanes = truth.kept(task)
        assert lanes is not None
        curve = curve_of(lanes)
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
            "scores": scores[task.name],
        }
    labels = {name: method.label for name, method in baselines.methods().items()}
    return {"labels": labels, "groups": groups}


def fingerprint(method: Method) -> str:
    """Return a SHA-256 over the sources that a method's scores depend on most."""
    finder = SOURCE / "insight" / "finder"
    files = [*Path(__file__).parent.glob("*.py")]
    files += [*finder.glob("*.py"), SOURCE / "recipe" / "shortened.py"] if method.ours else []
    sources = [at.read_bytes() for at in sorted(files) if at.exists() and at.name != "tables.py"]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def _with_losses(task: Task, curve: Curve, pick: Pick) -> Pick:
    """Run a picked rate that the truth does not hold."""
    if pick.rate is None or pick.losses is not None or curve.covers(pick.rate):
        return pick
    if math.isclose(pick.rate, curve.own, rel_tol=1e-6):
        return pick
    return replace(pick, losses=baselines.at_rate(task, pick.rate))
