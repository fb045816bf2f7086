"""A loss written as an objective, compared with the same loss in plain form.

Both train the same model on the same batches; the objective maps the model over the batch itself and returns
one loss for each row, or their mean. Dispatches of the compiled loops alternate in one process on one core;
the figure is processor time, which depends less on what else the machine does; ratios are taken within pairs.
The goal is at most 3 % more.
"""

from typing import Any

from benchmarks.fusions import measured, quartiles
from benchmarks.machine import markdown

SETTINGS: dict[str, dict[str, Any]] = {
    "784-512-10, batch 32": {"sizes": [784, 512, 10], "batch": 32, "steps": 30},
    "784-512-10, batch 128": {"sizes": [784, 512, 10], "batch": 128, "steps": 12},
}
FORMS = ("a loss for each row", "one number")


def run(quick: bool) -> dict[str, Any]:
    """Measure every setting, a process after the other."""
    return {"rows": measured("objectives", SETTINGS, ("plain", *FORMS), quick)}


def table(result: dict[str, Any]) -> str:
    """Return the table: milliseconds of processor time a step, and ratios, with quartiles."""
    lines = []
    for name, row in result["rows"].items():
        for form in FORMS:
            ratios = [mine / plain for mine, plain in zip(row[form], row["plain"], strict=True)]
            times = [quartiles([1e3 * seconds for seconds in row[label]], 3) for label in ("plain", form)]
            lines.append([name, form, *times, quartiles(ratios, 3), str(len(ratios))])
    header = ["work", "objective gives", "ms of processor time a step, plain", "objective", "ratio", "pairs"]
    return markdown(header, lines)
