"""One row of the design: its lanes are trained, and each is compared with the reference."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.reference import design
from tests.reference.comparison import amplification, compared
from tests.reference.library import trained
from thalweg.recipe.recipe import Recipe

# A lane that differs is not counted as wrong if it makes rounding errors of 1e-15 grow by more than this: at
# such rates, training is chaotic.
MOST = 1e5


@dataclass
class Tried:
    """One row of the design.

    Args:
        number: Of the row.
        wrong: What differs from the reference, by lane.
        counts: Why runs stopped, which weights they kept, and how many differ because they are sensitive.
        error: Where the row could not be run.
    """

    number: int
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    error: str = ""


def tried(number: int, row: design.Row) -> Tried:
    """Run the lanes of a row, and compare each with the reference."""
    report = Tried(number)
    recipes = [Recipe.from_dict(plain) for plain in design.lanes(row, number)]
    with tempfile.TemporaryDirectory() as folder:
        breaks = (30, 80) if row["resumed"] == "yes" else ()
        mapped = row["layout"] == "map"
        try:
            runs = trained(row["problem"], recipes, Path(folder) / "run", strict=mapped, breaks=breaks)
            for lane, (recipe, run) in enumerate(zip(recipes, runs, strict=True)):
                wrong = compared(row["problem"], recipe, run)
                if wrong and amplification(row["problem"], recipe) > MOST:
                    report.counts["sensitive"] += 1
                else:
                    report.wrong += [f"lane {lane} {text}" for text in wrong[:1]]
                report.counts[run.result["stopped"]] += 1
                report.counts[run.result["weights"] + " weights"] += 1
        except Exception as error:
            report.error = f"{type(error).__name__}: {error}"
    return report
