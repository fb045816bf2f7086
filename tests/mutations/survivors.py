"""Mutants that no test can notice, each with the reason: the mutant computes the same."""

from tests.mutations.mutant import Mutant

# By file, place, right and wrong text.
EQUIVALENT: dict[tuple[str, str, str, str], str] = {
    (
        "insight/sweep_statements.py",
        "",
        "if ranking.best is None or others < 1 or ranking.seeds < 2:",
        "if ranking.best is None or others < 1:",
    ): "with one seed per setting no setting is tied or worse, so nothing is said in any case",
    (
        "insight/finder/valley.py",
        "",
        "np.where(distance < 0, left, right)",
        "np.where(distance < 0, right, left)",
    ): "every pair of widths is tried in both orders, and the two are summed",
    (
        "insight/decisions/curves.py",
        "",
        "above = 1 - _placed(ours, others)",
        "above = _placed(ours, others)",
    ): "only the variance of the placements is used, which is that of one minus them",
}


def reason(mutant: Mutant) -> str | None:
    """Return why a mutant cannot be noticed; None if it can."""
    return EQUIVALENT.get((mutant.file, mutant.within, mutant.right, mutant.wrong))
