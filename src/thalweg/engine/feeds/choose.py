"""Which feed a training part and recipes ask for."""

from collections.abc import Sequence

from thalweg.engine.feeds.continued import ContinuedFeed, continued_feed
from thalweg.engine.feeds.resident import Feed
from thalweg.engine.feeds.streamed import StreamedFeed, check_streamed
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import CONTINUED, Recipe

AnyFeed = Feed | ContinuedFeed | StreamedFeed


def feed_for(part: Split, recipes: Sequence[Recipe]) -> AnyFeed:
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
