"""The doctor's score on planted faults and healthy programs, development and set-aside cases apart.

A fault is only scored where it separates: five seeds with and without it differ. A program without a fault is
only scored where five seeds do not tell it from the task's own recipe, and none of them diverges, so that its
health is shown and not assumed. A repair is trained on five fresh seeds. All figures have Wilson intervals.
"""

import itertools
import os
import sys
import time
from typing import Any

import numpy as np

import thalweg as tw
from benchmarks.doctor.faults import Case, faulty, healthy
from benchmarks.machine import markdown
from thalweg.insight.doctor.anatomy import opened, passed
from thalweg.insight.intervals import wilson
from thalweg.problem.models.adapter import PartitionedModel, build_as_trained

FRESH = (101, 102, 103, 104, 105)
# Share of the distance between the planted and the healthy program that a repair has to recover.
RECOVERED = 0.7
# How far the worst seed of a healthy program may lie below the worst one of the task's own recipe.
WORST = 0.1
# Causes by which a metric looks better than it is, and distance to the healthy program that is close enough.
FLATTERING, NEAR = {"data_leakage"}, 0.05
# Environment variables: how many cases, and seconds after which no further one is started; which part, only
# `healthy` or only `faulty` programs of it, and the seed by which cases are drawn.
MOST, SECONDS = "THALWEG_DOCTOR_CASES", "THALWEG_DOCTOR_SECONDS"
PART, ONLY, SEED = "THALWEG_DOCTOR_PART", "THALWEG_DOCTOR_ONLY", "THALWEG_DOCTOR_SEED"
TASKS = "THALWEG_DOCTOR_TASKS"  # only these tasks, with commas between them
PARTS = {"all": (False, True), "development": (False,), "aside": (True,)}


def run(quick: bool) -> dict[str, Any]:
    """Diagnose the corpus; quick: four cases."""
    most = 4 if quick else int(os.environ.get(MOST, "1000000"))
    limit = float(os.environ.get(SECONDS, "inf"))
    started, rows = time.perf_counter(), []
    parts = PARTS[os.environ.get(PART, "all")]
    every = faulty(seeds=(0,) if quick else (0, 1, 2)), healthy()
    tasks = [name for name in os.environ.get(TASKS, "").split(",") if name]
    bad, good = (
        [case for case in cases if case.set_aside in parts and (not tasks or case.setup.task in tasks)]
        for cases in every
    )
    only = os.environ.get(ONLY, "")
    bad, good = [] if only == "healthy" else bad, [] if only == "faulty" else good
    cases = _alternating(bad, good, int(os.environ.get(SEED, "0")))
    for case in itertools.islice(cases, most):
        if time.perf_counter() - started > limit:
            break
        rows.append(_scored(case))
        print(f"{len(rows)}: {rows[-1]}", file=sys.stderr)
    return {"rows": rows, "faulty": sum(1 for _ in faulty()), "healthy": sum(1 for _ in healthy())}


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    lines = []
    for name, aside in (("development", False), ("set aside", True)):
        rows = [row for row in result["rows"] if row["aside"] is aside]
        bad = [row for row in rows if row["causes"] and row.get("separates", True)]
        good = [row for row in rows if not row["causes"] and not row.get("separates", False)]
        lines.append(
            [
                name,
                _share([row["detected"] for row in bad]),
                _share([row["detected"] for row in good]),
                _share([row["rank"] == 1 for row in bad]),
                _share([row["rank"] is not None and row["rank"] <= 3 for row in bad]),
                _share([row["repaired"] for row in bad]),
                _share([row["unsound"] for row in bad]),
                _share([row["sure"] for row in bad if "sure" in row]),
                _median([row["trainings"] for row in bad]),
                _median([row["seconds"] for row in bad]),
            ]
        )
    header = [
        "cases",
        "detected",
        "false alarms",
        "cause first",
        "among three",
        "repaired",
        "wrong cause proven",
        "first cause right, and static or proven",
        "trainings, median",
        "seconds, median",
    ]
    known = f"{result['faulty']} faults and {result['healthy']} healthy programs"
    ran = f"{len(result['rows'])} of {known} were run."
    return f"{markdown(header, lines)}\n\n{ran}"


def _alternating(first: list[Case], second: list[Case], seed: int) -> Any:
    """Yield cases of both lists in turn, each list in an order that mixes tasks and causes."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(each)) for each in (first, second)]
    for one, two in itertools.zip_longest(*orders):
        if one is not None:
            yield first[one]
        if two is not None:
            yield second[two]


def _scored(case: Case) -> dict[str, Any]:
    started = time.perf_counter()
    row: dict[str, Any] = {"name": case.name, "causes": list(case.causes), "aside": case.set_aside}
    row |= {"rank": None, "repaired": False, "unsound": False, "sure": False, "trainings": 0.0}
    problem, recipe = case.setup.program()
    try:
        diagnosis = tw.diagnose(problem, recipe)
    except tw.ThalwegError as error:
        row |= {"detected": True, "rank": 1 if error.cause in case.causes else None, "error": str(error)}
        return row | {"seconds": time.perf_counter() - started}
    found = [cause.name for cause in diagnosis.causes]
    ranks = [found.index(cause) + 1 for cause in case.causes if cause in found]
    row |= {"detected": not diagnosis.healthy, "rank": min(ranks, default=None), "found": found}
    row["unsound"] = any(c.proof == "proven" and c.name not in case.causes for c in diagnosis.causes)
    row["sure"] = bool(found and found[0] in case.causes and diagnosis.causes[0].proof != "unproven")
    row |= {"trainings": diagnosis.cost.trainings, "seconds": time.perf_counter() - started}
    (own, diverged), (well, _) = (_runs(*each.program()) for each in (case.setup, case.healthy))
    noise = 2 * (np.std(well) + np.std(own)) / 5**0.5
    if set(case.causes) & FLATTERING:  # the metric looks better than it is: a repair brings it down
        row["separates"] = bool(np.mean(own) > np.mean(well) + noise)
        if diagnosis.repaired is not None:
            repaired = _metric(*diagnosis.repaired)
            row["repaired"] = bool(abs(np.mean(repaired) - np.mean(well)) < noise + NEAR)
        return row
    row["separates"] = bool(not np.mean(well) - np.mean(own) <= noise + 0.05)
    if not case.causes:  # one seed that fails among five makes the noise large
        row["separates"] |= bool(diverged or not min(own) >= min(well) - WORST)
    if case.causes and diagnosis.repaired is not None:
        repaired = _metric(*diagnosis.repaired, judge=opened(problem, recipe))
        row["repaired"] = bool(np.mean(repaired) > np.mean(own) + RECOVERED * (np.mean(well) - np.mean(own)))
    return row


def _metric(problem: tw.Problem, recipe: tw.Recipe, judge: Any = None) -> list[float]:
    """Return the metric of five fresh seeds, on validation rows: see `_runs`."""
    return _runs(problem, recipe, judge)[0]


def _runs(problem: tw.Problem, recipe: tw.Recipe, judge: Any = None) -> tuple[list[float], int]:
    """Return the metric of five fresh seeds, on validation rows, and how many of them diverge.

    Args:
        problem, recipe: What is trained.
        judge: The opened problem by which it is scored; None for its own.
    """
    anatomy = judge or opened(problem, recipe)
    rows = anatomy.held or anatomy.train
    values, runs = [], tw.train(problem, recipe.vary(seed=FRESH), progress=False)
    for trained in runs:
        fixed = build_as_trained(problem.model, trained.recipe.seed).fixed
        module = PartitionedModel(trained.params, trained.model_state, fixed)
        values.append(anatomy.scored(passed(anatomy.problem, module, rows), rows))
    return values, sum(trained.result["stopped"] == "diverged" for trained in runs)


def _share(flags: list[bool]) -> str:
    if not flags:
        return "-"
    low, high = wilson(sum(flags), len(flags))
    return f"{sum(flags)}/{len(flags)}: {np.mean(flags):.0%} ({low:.0%}-{high:.0%})"


def _median(values: list[float]) -> str:
    return f"{np.median(values):.1f}" if values else "-"
