"""All semantic mutants, by floor."""

from tests.mutations import core, engine, insight, newer, problem, recipe, run
from tests.mutations.mutant import Mutant

FLOORS: dict[str, list[Mutant]] = {
    "core": [*core.MUTANTS, *newer.CORE],
    "problem": [*problem.MUTANTS, *newer.PROBLEM],
    "recipe": recipe.MUTANTS,
    "engine": engine.MUTANTS,
    "run": [*run.MUTANTS, *newer.RUN],
    "insight": [*insight.MUTANTS, *newer.INSIGHT],
    "doors": newer.DOORS,
}
