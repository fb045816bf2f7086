"""Feeds: which examples each step of a dispatch reads."""

from collections.abc import Sequence

from thalweg.core.errors import RecipeError
from thalweg.engine.feeds.resident import ResidentFeed
from thalweg.engine.feeds.streamed import StreamedFeed, check_streamed
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import CONTINUED, Recipe

Feed = ResidentFeed | StreamedFeed


def feed_for(split: Split, recipes: Sequence[Recipe]) -> Feed:
    """Return the feed with which recipes of equal structure read a training split. No data is read yet.

    Raises:
        RecipeError: The data cannot be read as the recipe requires.
    """
    recipe, count = recipes[0], split.count()
    seeds = tuple(dict.fromkeys(recipe.seed for recipe in recipes))
    if isinstance(split, Streamed):
        check_streamed(split, recipe)
        return StreamedFeed(split, seeds)
    if recipe.shuffle == CONTINUED:
        return continued_feed(split, recipe, seeds)
    return ResidentFeed(count, recipe.batch(count), recipe.shuffle, recipe.last_batch == "keep", seeds)


def continued_feed(split: Split, recipe: Recipe, seeds: tuple[int, ...]) -> ResidentFeed:
    """Return the feed of a split that is one long sequence, read as parallel stretches.

    With B rows in a batch the sequence is cut into B stretches. Row r of a batch is a window of stretch r,
    and row r of the next batch the window after it, so that a recurrent model can carry its state from batch
    to batch: truncated backpropagation through time. Windows beyond B equal
    stretches are left out.

    Raises:
        RecipeError: It is not such a sequence, it is too short, or the recipe accumulates microbatches.

    Reference: Mikolov et al., Recurrent Neural Network Based Language Model, 2010; Williams & Peng 1990.
    """
    span = split.successor
    if span is None:
        raise RecipeError(
            "recipe",
            f"shuffle={CONTINUED} needs windows of one long sequence without gaps",
            got=type(split).__name__,
            hint="load a text or a time series without missing targets, or use shuffle=none",
        )
    if recipe.accumulate > 1:
        raise RecipeError(
            "recipe",
            f"shuffle={CONTINUED} cannot be combined with accumulate: the rows of a batch carry their state",
            got=f"accumulate={recipe.accumulate}",
            hint="use a smaller batch_size",
        )
    windows = (split.count() - 1) // span + 1
    batch_size = recipe.batch(windows)
    if batch_size > windows:
        raise RecipeError(
            "recipe",
            f"batch_size must be at most {windows}, the number of consecutive windows",
            got=batch_size,
            hint="use a smaller batch or a shorter window",
        )
    return ResidentFeed(windows // batch_size * batch_size, batch_size, CONTINUED, True, seeds, span)
