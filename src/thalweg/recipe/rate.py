"""A recipe's learning rate: which setting it is, and the recipe with another one."""

from thalweg.core.errors import RecipeError
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.setting import with_setting


def rate_path(recipe: Recipe) -> str:
    """Return the path of a recipe's learning rate, the first where its optimizer has several.

    Raises:
        RecipeError: The optimizer has none, or finds it itself.
    """
    rule = recipe.optimizer
    if not rule.rates:
        raise RecipeError(
            "find_lr",
            "needs an optimizer with a learning rate; a line search finds its step length at every update",
            got=rule.name,
            hint="train it as it is, or take another optimizer",
        )
    if rule.estimates_rate:
        raise RecipeError(
            "find_lr",
            "needs an optimizer with a learning rate; prodigy estimates its own, and lr is a factor of it",
            got=rule.name,
            hint="leave lr at 1 and train it as it is, or take another optimizer",
        )
    return f"optimizer.{rule.rates[0]}"


def own_rate(recipe: Recipe) -> float:
    """Return the first learning rate that the recipe has."""
    return float(recipe.optimizer.first_rate())


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return the recipe with another learning rate; further ones, as Muon's, move along in proportion.

    Where the recipe's own rate is 0 the others stay.
    """
    own = own_rate(recipe)
    settings = with_setting(recipe.to_dict(), rate_path(recipe), rate)
    first, *others = recipe.optimizer.rates
    del first
    if own > 0:
        scaled = recipe.optimizer.scaled(rate / own)
        for name in others:
            value = float(scaled.to_dict()[name])
            settings = with_setting(settings, f"optimizer.{name}", value)
    return Recipe.from_dict(settings)
