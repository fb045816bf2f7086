"""Which feed a training part and recipes ask for."""

from collections.abc import Sequence

from thalweg.engine.continued import ContinuedFeed, continued_feed
from thalweg.engine.feed import Feed
from thalweg.engine.streaming import StreamedFeed, check_streamed
from thalweg.problem.data.part import Part
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import CONTINUED, Recipe

AnyFeed = Feed | ContinuedFeed | StreamedFeed


def feed_for(part: Part, recipes: Sequence[Recipe]) -> AnyFeed:
    """Return the order in which recipes of equal structure read a training part. Cheap: nothing is read yet.

    Raises:
        RecipeError: The recipe asks for what this data cannot give.
    """
    first, count = recipes[0], part.count()
    seeds = tuple(dict.fromkeys(recipe.seed for recipe in recipes))
    if isinstance(part, Streamed):
        check_streamed(part, first)
        return StreamedFeed(part, seeds)
    if first.shuffle == CONTINUED:
        return continued_feed(part, first, seeds)
    return Feed(count, first.batch(count), first.shuffle, first.last_batch == "keep", seeds)
