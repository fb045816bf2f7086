"""All semantic mutants, by floor."""

from tests.mutations import core, engine, insight, newer, problem, recipe, reviewed, run
from tests.mutations.mutant import Mutant

FLOORS: dict[str, list[Mutant]] = {
    "core": [*core.MUTANTS, *newer.CORE, *reviewed.CORE],
    "problem": [*problem.MUTANTS, *newer.PROBLEM, *reviewed.PROBLEM],
    "recipe": recipe.MUTANTS,
    "engine": [*engine.MUTANTS, *reviewed.ENGINE],
    "run": [*run.MUTANTS, *newer.RUN, *reviewed.RUN],
    "insight": [*insight.MUTANTS, *newer.INSIGHT, *reviewed.INSIGHT],
    "doors": [*newer.DOORS, *reviewed.DOORS],
}
