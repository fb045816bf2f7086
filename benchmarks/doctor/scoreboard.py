"""The doctor's score on planted faults and healthy programs, development and set-aside cases apart.

A fault is only scored where it separates: five seeds with and without it differ. A program without a fault is
only scored where five seeds do not tell it from the task's own recipe, and none of them diverges, so that its
health is shown and not assumed. A repair is trained on five fresh seeds. All figures have Wilson intervals.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import thalweg as tw
from benchmarks.doctor.faults import Case, faulty, healthy
from benchmarks.doctor.yardstick import Yardstick
from benchmarks.machine import markdown
from thalweg.insight.doctor.anatomy import opened
from thalweg.insight.intervals import wilson

# Environment variables: how many cases, and seconds after which no further one is started; which part, only
# `healthy` or only `faulty` programs of it, and the seed by which cases are drawn.
MOST, SECONDS = "THALWEG_DOCTOR_CASES", "THALWEG_DOCTOR_SECONDS"
PART, ONLY, SEED = "THALWEG_DOCTOR_PART", "THALWEG_DOCTOR_ONLY", "THALWEG_DOCTOR_SEED"
TASKS = "THALWEG_DOCTOR_TASKS"  # only these tasks, with commas between them
PARTS = {"all": (False, True), "development": (False,), "aside": (True,)}


def run(quick: bool) -> dict[str, Any]:
    """Diagnose the corpus; quick: four cases."""
    rows = scored(lambda case: diagnosed(case, Yardstick(case)), quick, few=4)
    return {"rows": rows, "faulty": sum(1 for _ in faulty()), "healthy": sum(1 for _ in healthy())}


def scored(score: Callable[[Case], dict[str, Any]], quick: bool, few: int) -> list[dict[str, Any]]:
    """Return what is found of each case that the environment variables choose; quick: of `few` of them."""
    most = few if quick else int(os.environ.get(MOST, "1000000"))
    limit = float(os.environ.get(SECONDS, "inf"))
    started, rows = time.perf_counter(), []
    for case in itertools.islice(_chosen(quick), most):
        if time.perf_counter() - started > limit:
            break
        rows.append(score(case))
        print(f"{len(rows)}: {rows[-1]}", file=sys.stderr)
    return rows


def _chosen(quick: bool) -> Iterator[Case]:
    """Yield the cases that the environment variables choose, faulty and healthy ones in turn."""
    parts = PARTS[os.environ.get(PART, "all")]
    every = faulty(seeds=(0,) if quick else (0, 1, 2)), healthy()
    tasks = [name for name in os.environ.get(TASKS, "").split(",") if name]
    bad, good = (
        [case for case in cases if case.set_aside in parts and (not tasks or case.setup.task in tasks)]
        for cases in every
    )
    only = os.environ.get(ONLY, "")
    bad, good = [] if only == "healthy" else bad, [] if only == "faulty" else good
    return _alternating(bad, good, int(os.environ.get(SEED, "0")))


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
                share([row["detected"] for row in bad]),
                share([row["detected"] for row in good]),
                share([row["rank"] == 1 for row in bad]),
                share([row["rank"] is not None and row["rank"] <= 3 for row in bad]),
                share([row["repaired"] for row in bad]),
                share([row["unsound"] for row in bad]),
                share([row["sure"] for row in bad if "sure" in row]),
                median([row["trainings"] for row in bad]),
                median([row["seconds"] for row in bad]),
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


def _alternating(first: list[Case], second: list[Case], seed: int) -> Iterator[Case]:
    """Yield cases of both lists in turn, each list in an order that mixes tasks and causes."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(each)) for each in (first, second)]
    for one, two in itertools.zip_longest(*orders):
        if one is not None:
            yield first[one]
        if two is not None:
            yield second[two]


def diagnosed(case: Case, yardstick: Yardstick) -> dict[str, Any]:
    """Return what the doctor says of a case, and whether that is right."""
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
    row["separates"] = yardstick.separates
    if case.causes and diagnosis.repaired is not None:
        row["repaired"] = yardstick.repaired(*diagnosis.repaired, judge=opened(problem, recipe))
    return row


def share(flags: list[bool]) -> str:
    """Return count, share and its Wilson interval in words; a dash for none."""
    if not flags:
        return "-"
    low, high = wilson(sum(flags), len(flags))
    return f"{sum(flags)}/{len(flags)}: {np.mean(flags):.0%} ({low:.0%}-{high:.0%})"


def median(values: list[float]) -> str:
    """Return the median in words; a dash for none."""
    return f"{np.median(values):.1f}" if values else "-"
