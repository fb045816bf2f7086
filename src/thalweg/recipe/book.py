"""The book: recipes by name, each as its source gives it, and the rule for the default recipe."""

import math
from dataclasses import dataclass

from thalweg.core.errors import RecipeError
from thalweg.core.names import did_you_mean
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine


@dataclass(frozen=True)
class Entry:
    """A recipe in the book.

    Args:
        recipe: The recipe.
        about: What it is for, one sentence.
        source: Where its numbers come from.
    """

    recipe: Recipe
    about: str
    source: str


BOOK: dict[str, Entry] = {
    "sgd": Entry(
        Recipe(SGD(lr=0.01), batch_size=128, epochs=5),
        "Plain gradient descent, as the textbooks write it.",
        "the textbooks' lr 0.01; batch 128 as in LeCun et al., Efficient BackProp, 1998, for small nets",
    ),
    "nanogpt": Entry(
        Recipe(
            AdamW(lr=6e-4, b1=0.9, b2=0.95, weight_decay=0.1),
            schedule=WarmupCosine(warmup=2000, floor=0.1, unit="steps"),
            batch_size=480,
            steps=600_000,
            clip_norm=1.0,
        ),
        "Training GPT-2 (124M) from scratch.",
        "nanoGPT's train.py",
    ),
    "nanogpt-cpu": Entry(
        Recipe(
            AdamW(lr=1e-3, b1=0.9, b2=0.99, weight_decay=0.1),
            schedule=WarmupCosine(warmup=100, floor=0.1, unit="steps"),
            batch_size=12,
            steps=2000,
            clip_norm=1.0,
        ),
        "A small character GPT in minutes, without a GPU.",
        "nanoGPT's README and config/train_shakespeare_char.py",
    ),
}


def named(name: str) -> Recipe:
    """Return a recipe of the book.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in BOOK:
        raise RecipeError(
            "recipe", "must be a name in the book, or a TOML file", got=name, hint=did_you_mean(name, BOOK)
        )
    return BOOK[name].recipe


def default_recipe(task: str, examples: int) -> Recipe:
    """Return the recipe for data that nobody has tuned one for.

    AdamW with warmup and a cosine fall. The batch grows as the square root of the number of examples (the
    power of two nearest to it, within 16 and 256): small sets need many noisy updates, large ones full vector
    units. As many epochs as make about 3,000 updates, between 5 and 100, so that small sets are not cut
    short; patience ends a run that has stopped improving.

    Args:
        task: `classification`, `regression` or `language`.
        examples: Training examples (windows, for language).
    """
    if task == "language":
        return named("nanogpt-cpu")
    batch = 2 ** min(8, max(4, round(math.log2(max(examples, 1) ** 0.5))))
    epochs = min(100, max(5, round(3000 * batch / max(examples, 1))))
    return Recipe(
        AdamW(lr=1e-3, weight_decay=0.01),
        schedule=WarmupCosine(warmup=0.05),
        batch_size=batch,
        epochs=epochs,
        clip_norm=1.0,
        patience=10,
    )
