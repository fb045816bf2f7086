"""All semantic mutants, by floor, and by the list that they are written in."""

from tests.mutations import core, engine, fresh, insight, newer, problem, recipe, reviewed, run
from tests.mutations.mutant import Mutant

FLOORS: dict[str, list[Mutant]] = {
    "core": [*core.MUTANTS, *newer.CORE, *reviewed.CORE, *fresh.CORE],
    "problem": [*problem.MUTANTS, *newer.PROBLEM, *reviewed.PROBLEM, *fresh.PROBLEM],
    "recipe": [*recipe.MUTANTS, *fresh.RECIPE],
    "engine": [*engine.MUTANTS, *reviewed.ENGINE, *fresh.ENGINE],
    "run": [*run.MUTANTS, *newer.RUN, *reviewed.RUN, *fresh.RUN],
    "insight": [*insight.MUTANTS, *newer.INSIGHT, *reviewed.INSIGHT, *fresh.INSIGHT],
    "doors": [*newer.DOORS, *reviewed.DOORS, *fresh.DOORS],
}
# Two reviews, each by an author who had not read the tests.
REVIEWS: dict[str, list[Mutant]] = {"first": reviewed.MUTANTS, "second": fresh.MUTANTS}
