"""The doctor beside other tools on the same programs: rules that look, repairs by retraining, searches.

Tools that look judge one watched training of one seed; those that repair get ten trainings, as the doctor
does, and their repair is judged alike, by five fresh seeds. `rules` and `repairs` say where each comes from.
"""

import itertools
import os
from typing import Any

from benchmarks.doctor.faults import Case
from benchmarks.doctor.repairs import REPAIRS
from benchmarks.doctor.rules import TOOLS, alarms
from benchmarks.doctor.scoreboard import diagnosed, median, scored, share
from benchmarks.doctor.trace import Trace, traced
from benchmarks.doctor.yardstick import Yardstick
from benchmarks.machine import markdown
from thalweg.core.errors import ThalwegError

DOCTOR = "thalweg doctor"
# Environment variable: `none` leaves out the tools that retrain, which take minutes a case.
REPAIRING = "THALWEG_DOCTOR_REPAIRS"


def run(quick: bool) -> dict[str, Any]:
    """Score every tool on the cases that `scoreboard` would take; quick: two cases."""
    return {"rows": scored(_scored, quick, few=2)}


def table(result: dict[str, Any]) -> str:
    """Return a table for the cases of development and one for those set aside."""
    parts = (("Development", False), ("Set aside", True))
    return "\n\n".join(f"{name}:\n\n{_part(result['rows'], aside)}" for name, aside in parts)


def _part(rows: list[dict[str, Any]], aside: bool) -> str:
    rows = [row for row in rows if row["aside"] is aside]
    bad = [row["tools"] for row in rows if row["causes"] and row["separates"]]
    good = [row["tools"] for row in rows if not row["causes"] and not row["separates"]]
    names = dict.fromkeys(itertools.chain([DOCTOR], TOOLS, REPAIRS))
    lines = [
        [
            name,
            share([tools[name]["detected"] for tools in bad if "detected" in tools[name]]),
            share([tools[name]["detected"] for tools in good if "detected" in tools[name]]),
            share([tools[name]["rank"] == 1 for tools in bad if "rank" in tools[name]]),
            share([(tools[name]["rank"] or 9) <= 3 for tools in bad if "rank" in tools[name]]),
            share([tools[name]["repaired"] for tools in bad if "repaired" in tools[name]]),
            median([tools[name]["trainings"] for tools in bad if "trainings" in tools[name]]),
        ]
        for name in names
    ]
    columns = ["detected", "false alarms", "cause first", "among three", "repaired"]
    return markdown(["tool", *columns, "trainings, median"], lines)


def _scored(case: Case) -> dict[str, Any]:
    yardstick = Yardstick(case)
    row = {"name": case.name, "causes": list(case.causes), "aside": case.set_aside}
    row |= {"separates": yardstick.separates}
    tools = {DOCTOR: diagnosed(case, yardstick)} | {name: {} for name in itertools.chain(TOOLS, REPAIRS)}
    try:
        trace = traced(case.setup)
    except ThalwegError as error:  # nothing trains, and any tool would see that
        refused = {"detected": True, "rank": None, "error": str(error)}
        return row | {"tools": tools | dict.fromkeys(TOOLS, refused)}
    for name in TOOLS:
        tools[name] |= _looked(name, trace, case)
    if case.causes and yardstick.separates and os.environ.get(REPAIRING) != "none":
        for name, repair in REPAIRS.items():
            repaired, trainings = repair(case.setup, 0)
            tools[name]["trainings"] = trainings
            tools[name]["repaired"] = repaired is not None and yardstick.repaired(*repaired.program())
    return row | {"tools": tools}


def _looked(name: str, trace: Trace, case: Case) -> dict[str, Any]:
    found = alarms(name, trace)
    ranks = [at for at, alarm in enumerate(found, 1) if set(alarm.causes) & set(case.causes)]
    rules = [alarm.rule for alarm in found]
    return {"detected": bool(found), "rank": min(ranks, default=None), "found": rules}
