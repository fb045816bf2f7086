"""All semantic mutants, by floor, and by the list that they are written in."""

from tests.mutations import core, engine, fresh, insight, newer, problem, recipe, reviewed, run, third
from tests.mutations.mutant import Mutant

FLOORS: dict[str, list[Mutant]] = {
    "core": [*core.MUTANTS, *newer.CORE, *reviewed.CORE, *fresh.CORE, *third.CORE],
    "problem": [*problem.MUTANTS, *newer.PROBLEM, *reviewed.PROBLEM, *fresh.PROBLEM, *third.PROBLEM],
    "recipe": [*recipe.MUTANTS, *fresh.RECIPE, *third.RECIPE],
    "engine": [*engine.MUTANTS, *reviewed.ENGINE, *fresh.ENGINE, *third.ENGINE],
    "run": [*run.MUTANTS, *newer.RUN, *reviewed.RUN, *fresh.RUN, *third.RUN],
    "insight": [*insight.MUTANTS, *newer.INSIGHT, *reviewed.INSIGHT, *fresh.INSIGHT, *third.INSIGHT],
    "doors": [*newer.DOORS, *reviewed.DOORS, *fresh.DOORS, *third.DOORS],
}
# Reviews, each by an author who had not read the tests.
REVIEWS: dict[str, list[Mutant]] = {
    "first": reviewed.MUTANTS,
    "second": fresh.MUTANTS,
    "third": third.MUTANTS,
}
