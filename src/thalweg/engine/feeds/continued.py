"""The continued feed: a long sequence is read as many parallel streams, each in order.

With B rows in a batch the sequence is cut into B stretches. Row r of a batch is a window of stretch r, and in
the next batch the window that follows it, so that a recurrent model can carry its state from batch to batch:
truncated backpropagation through time. What does not fill B equal stretches of whole windows is left out.

Reference: Mikolov et al., Recurrent Neural Network Based Language Model, 2010; Williams & Peng 1990.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from thalweg.core.errors import RecipeError
from thalweg.engine.feeds.resident import MOST_STEPS
from thalweg.engine.program import Batches
from thalweg.problem.data.split import Split
from thalweg.recipe.recipe import CONTINUED, Recipe


@dataclass(frozen=True)
class ContinuedFeed:
    """What `engine.feed.Feed` is for examples in any order; see there.

    Args:
        windows: Windows that follow one another in the whole sequence.
        span: Distance between the indices of two that follow one another.
        batch_size: Rows in a batch: stretches read side by side.
        seeds: The lanes' seeds; all read the same order.
    """

    windows: int
    span: int
    batch_size: int
    seeds: tuple[int, ...]

    masked = False
    most_steps = MOST_STEPS

    @property
    def epoch_steps(self) -> int:
        """Windows in a stretch."""
        return self.windows // self.batch_size

    @property
    def count(self) -> int:
        """Windows in an epoch."""
        return self.epoch_steps * self.batch_size

    def dispatch(
        self, splits: Mapping[str, Split], start: int, steps: int, capacity: int
    ) -> tuple[Split, Batches]:
        """Return the data of `steps` steps from `start`, and their order, padded to `capacity` steps."""
        return splits["train"], self.batches(start, steps, capacity)

    def batches(self, start: int, steps: int, capacity: int) -> Batches:
        """Return the order of `steps` steps from `start`, padded to `capacity` steps."""
        places = (start + np.arange(steps)) % self.epoch_steps
        stretches = np.arange(self.batch_size) * self.epoch_steps
        indices = np.zeros((len(self.seeds), capacity, self.batch_size), np.int32)
        indices[:, :steps] = (stretches + places[:, None]) * self.span
        return Batches(jnp.asarray(indices), jnp.full(capacity, self.batch_size, jnp.int32))

    def prefetch(self, start: int) -> None:
        """Do nothing: the order costs nothing to make."""


def continued_feed(part: Split, recipe: Recipe, seeds: tuple[int, ...]) -> ContinuedFeed:
    """Return the feed of a part that is one long sequence.

    Raises:
        RecipeError: The split is no such sequence, it is too short, or the recipe accumulates microbatches.
    """
    span = part.successor
    if span is None:
        raise RecipeError(
            "recipe",
            f"shuffle={CONTINUED} needs windows of one long sequence without gaps",
            got=type(part).__name__,
            hint="load a text or a time series without missing targets, or use shuffle=none",
        )
    if recipe.accumulate > 1:
        raise RecipeError(
            "recipe",
            f"shuffle={CONTINUED} computes a batch in one part: its rows carry their state",
            got=f"accumulate={recipe.accumulate}",
            hint="take a smaller batch_size",
        )
    windows = (part.count() - 1) // span + 1
    batch_size = recipe.batch(windows)
    if batch_size > windows:
        raise RecipeError(
            "recipe",
            f"batch_size must be at most {windows}, the windows that follow one another",
            got=batch_size,
            hint="take a smaller batch, or a shorter window",
        )
    return ContinuedFeed(windows, span, batch_size, seeds)
