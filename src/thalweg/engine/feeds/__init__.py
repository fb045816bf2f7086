"""Feeds: which examples each step of a dispatch reads, and where the data are."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from thalweg.core.caller import setting
from thalweg.core.errors import RecipeError
from thalweg.engine.feeds.gathered import DEVICE, HOST, GatheredFeed
from thalweg.engine.feeds.resident import ResidentFeed
from thalweg.engine.feeds.streamed import StreamedFeed, check_streamed
from thalweg.engine.mesh import on_each
from thalweg.problem.data.data import Data
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import CONTINUED, Recipe

# What a split and a recipe give; `gathered` puts the rows of one on the host.
BaseFeed = ResidentFeed | StreamedFeed
Feed = BaseFeed | GatheredFeed


def resident(data: Data, mesh: Mesh | None = None, data_on: str = DEVICE) -> dict[str, Split]:
    """Put the data's splits on the device, or on each of a mesh, for all groups.

    A stream is not among them. With `data_on="host"` the training split stays where it is.
    """
    splits = {name: split for name, split in data.splits.items() if not isinstance(split, Streamed)}
    kept = {"train": splits.pop("train")} if data_on == HOST else {}
    placed = jax.device_put(splits) if mesh is None else on_each(mesh, splits)
    return dict(sorted((kept | placed).items()))  # in the order in which JAX returns a dictionary


def feed_for(
    split: Split, recipes: Sequence[Recipe], folds: Sequence[int] = (), *, whole: bool = False
) -> BaseFeed:
    """Return the feed with which recipes of equal structure read a training split. No data is read yet.

    Args:
        split: The training split.
        recipes: The recipes.
        folds: The fold that each recipe's lane reads, all with the same number of rows; empty without folds.
        whole: Whether every batch must be whole, because the objective gives one number for it.

    Raises:
        RecipeError: The data cannot be read as the recipe requires.
    """
    recipe, count = recipes[0], split.count()
    seeds = tuple(dict.fromkeys(recipe.seed for recipe in recipes))
    streams = tuple((seed, 0) for seed in seeds)
    if isinstance(split, FoldRows) and folds:
        count, starts = int(split.counts[folds[0]]), np.asarray(split.starts)
        pairs = zip(recipes, folds, strict=True)
        streams = tuple(dict.fromkeys((recipe.seed, int(starts[fold])) for recipe, fold in pairs))
    if isinstance(split, Streamed):
        check_streamed(split, recipe)
        return StreamedFeed(split.in_batches(recipe.batch(count)), seeds)
    if recipe.shuffle == CONTINUED:
        return continued_feed(split, recipe, streams)
    keep_last = recipe.last_batch == "keep" and not whole
    return ResidentFeed(count, recipe.batch(count), recipe.shuffle, keep_last, streams)


def continued_feed(split: Split, recipe: Recipe, streams: tuple[tuple[int, int], ...]) -> ResidentFeed:
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
            hint=f"load a text or a time series without missing targets, or use {setting('shuffle', 'none')}",
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
    return ResidentFeed(windows // batch_size * batch_size, batch_size, CONTINUED, True, streams, span)
