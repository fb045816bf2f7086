"""The tally of mutants by floor, and what became of each, saved in results.json with date and machine."""

import datetime
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.record import _processor
from tests.mutations.mutant import Mutant
from tests.mutations.runner import CAUGHT, ENDLESS, STILLBORN, Outcome
from tests.mutations.survivors import reason

RESULTS = Path(__file__).parent / "results.json"
SEMANTIC, GENERATED = "semantic", "generated"


class Tally(NamedTuple):
    """Counts of one kind of mutants on one floor.

    Args:
        planted: Mutants that were run.
        caught: Those that the tests noticed.
        equivalent: Those that compute the same, which are left out of the score; so are those `stillborn`,
            made so that nothing can be imported.
    """

    planted: int = 0
    caught: int = 0
    equivalent: int = 0
    stillborn: int = 0

    @property
    def score(self) -> str:
        """The share of those that can be noticed."""
        counted = self.planted - self.equivalent - self.stillborn
        return f"{self.caught} of {counted}" + (f", {100 * self.caught / counted:.1f} %" if counted else "")


def words() -> dict[str, str]:
    """Return what became of each mutant when it was last run."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["outcomes"] if RESULTS.exists() else {}


def save(outcomes: Iterable[Outcome]) -> None:
    """Save what became of these mutants; others stay as they were."""
    saved = words() | {str(outcome.mutant): outcome.word for outcome in outcomes}
    content = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "outcomes": dict(sorted(saved.items())),
    }
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def tallies(mutants: Sequence[Mutant], found: Mapping[str, str]) -> dict[str, Tally]:
    """Return the tally of each floor, over the mutants with an outcome."""
    counts: dict[str, Tally] = {}
    for mutant in mutants:
        word = found.get(str(mutant))
        if word is None:
            continue
        before = counts.get(mutant.floor, Tally())
        same, born = reason(mutant) is not None, not (word == STILLBORN and mutant.made)
        caught = word in (CAUGHT, ENDLESS) and not same
        counts[mutant.floor] = Tally(
            before.planted + 1,
            before.caught + caught,
            before.equivalent + same,
            before.stillborn + (not born),
        )
    return counts


def unexplained(mutants: Sequence[Mutant], found: Mapping[str, str]) -> list[Mutant]:
    """Return the mutants that went unnoticed although they compute something else."""
    return [
        mutant
        for mutant in mutants
        if found.get(str(mutant), CAUGHT) not in (CAUGHT, ENDLESS)
        and reason(mutant) is None
        and not (found[str(mutant)] == STILLBORN and mutant.made)
    ]


def summary(kind: str, mutants: Sequence[Mutant], found: Mapping[str, str]) -> str:
    """Write the tallies, a line for each floor, and the sum."""
    by_floor = tallies(mutants, found)
    lines = [f"{kind} {floor}: {tally.score}" for floor, tally in by_floor.items()]
    whole = Tally(*(sum(column) for column in zip(*by_floor.values(), strict=True))) if by_floor else Tally()
    left = len(mutants) - whole.planted
    note = f"; {left} not run" if left else ""
    explained = f" ({whole.equivalent} equivalent left out)" if whole.equivalent else ""
    return "\n".join([*lines, f"{kind}: {whole.score} caught{explained}{note}"])
