"""A recipe for fewer updates: the same course in small, so that a short run tells of the long one.

Lengths counted in steps or epochs shrink in proportion to the run; those counted as fractions of the run do
so by themselves. What is counted per update (momentum, decay, the moments of Adam) stays: it belongs to the
rule, not to the length. So does gradient noise. Conditions that would end a run early are left out: what
stopped early cannot be compared.
"""

from typing import Any

from thalweg.core.choice import Choice
from thalweg.core.stop_reason import ENDING_SETTINGS
from thalweg.recipe.averaging import EMA, SWA, Tail
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import (
    CosineRestarts,
    Exponential,
    InverseTime,
    MultiStep,
    Plateau,
    StepDecay,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
)

# Fields that are lengths, with the field that says what they count.
LENGTHS: dict[type[Choice], dict[str, str]] = {
    StepDecay: {"every": "unit"},
    MultiStep: {"points": "unit"},
    CosineRestarts: {"period": "unit"},
    Warmup: {"length": "unit"},
    WarmupCosine: {"warmup": "unit"},
    WarmupStableDecay: {"warmup": "unit", "decay": "unit"},
    Tail: {"start": "unit"},
    SWA: {"start": "unit", "every": "every_unit"},
}


def shortened(recipe: Recipe, steps: int, total: int) -> Recipe:
    """Return the recipe for `steps` updates in place of `total`.

    Args:
        recipe: The recipe of the whole run.
        steps: Updates of the short run, from 1 on.
        total: Updates of the whole run.

    Returns:
        A recipe of the same structure, but for conditions that end a run early, which are left out.

    Example:
        >>> whole = Recipe(schedule=WarmupCosine(warmup=100, unit="steps"), steps=1000)
        >>> shortened(whole, 50, 1000).schedule.warmup
        5.0
    """
    share = steps / total
    changed = {
        "schedule": _shrunk(recipe.schedule, share),
        "averaging": _shrunk(recipe.averaging, share),
        "epochs": None,
        "steps": steps,
    }
    return Recipe.from_dict(recipe.to_dict() | changed | dict.fromkeys(ENDING_SETTINGS))


def _shrunk(choice: Choice, share: float) -> dict[str, Any]:
    """Return a schedule or an average as plain values, with its lengths times `share`."""
    plain: dict[str, Any] = {"name": choice.name} | choice.to_dict()
    for name, unit in LENGTHS.get(type(choice), {}).items():
        if plain[unit] != "fraction":
            given: Any = plain[name]
            plain[name] = [one * share for one in given] if isinstance(given, list | tuple) else given * share
    if isinstance(choice, Warmup):
        plain["then"] = _shrunk(choice.then, share)
    return plain | _faster(choice, share)


def _faster(choice: Choice, share: float) -> dict[str, Any]:
    """Return what is faster in a run `share` as long: speeds in a unit of time, waits in evaluations."""
    if isinstance(choice, Exponential) and choice.unit != "fraction":
        return {"decay": choice.decay ** (1 / share)}
    if isinstance(choice, InverseTime) and choice.unit != "fraction":
        return {"k": choice.k / share}
    if isinstance(choice, Plateau):
        return {"patience": choice.patience * share, "cooldown": choice.cooldown * share}
    if isinstance(choice, EMA):
        return {"decay": choice.decay ** (1 / share)}
    return {}
