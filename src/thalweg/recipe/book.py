"""The book: published recipes by name, and the rule for the default recipe."""

import math
from dataclasses import dataclass, replace

from thalweg.core.arguments import checked
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.recipe.averaging import EMA
from thalweg.recipe.optimizers import OPTIMIZERS, SGD, AdamW, Muon
from thalweg.recipe.recipe import FULL, Recipe
from thalweg.recipe.schedules import OneCycle, StepDecay, WarmupCosine, WarmupStableDecay

# Below so many examples the ensemble of a table has fewer updates.
FEW_EXAMPLES = 2_000


@dataclass(frozen=True)
class Entry:
    """A recipe in the book.

    Args:
        recipe: The recipe.
        about: Its purpose, in one sentence.
        source: Origin of its numbers.
    """

    recipe: Recipe
    about: str
    source: str


BOOK: dict[str, Entry] = {
    "sgd": Entry(
        Recipe(SGD(lr=0.01), batch_size=128, epochs=5),
        "Plain gradient descent, as in textbooks.",
        "rate 0.01 and batch 128, as in textbooks",
    ),
    "nanogpt": Entry(
        Recipe(
            AdamW(lr=6e-4, b1=0.9, b2=0.95, weight_decay=0.1),
            schedule=WarmupCosine(warmup=2000, floor=0.1, unit="steps"),
            batch_size=480,
            accumulate=40,
            steps=600_000,
            clip_norm=1.0,
        ),
        "Training GPT-2 (124M) from scratch.",
        "nanoGPT's train.py (40 microbatches of 12 windows of 1,024 tokens)",
    ),
    "nanogpt-cpu": Entry(
        Recipe(
            AdamW(lr=1e-3, b1=0.9, b2=0.99, weight_decay=0.1),
            schedule=WarmupCosine(warmup=100, floor=0.1, unit="steps"),
            batch_size=12,
            steps=2000,
            clip_norm=1.0,
            averaging=EMA(decay=0.99),
        ),
        "A small character GPT in minutes, without a GPU.",
        "nanoGPT's README and config/train_shakespeare_char.py (rate 1e-3 to 1e-4); averaging the "
        "weights over a hundred updates is ours: the rate does not fall to zero, and that noise costs 0.006",
    ),
    "nanogpt-cpu-muon": Entry(
        Recipe(
            Muon(lr=0.01, adam_lr=3e-3, b1=0.9, b2=0.99),
            schedule=WarmupStableDecay(warmup=0.0, decay=1.0, shape="linear"),
            batch_size=12,
            steps=2000,
            clip_norm=1.0,
        ),
        "The same GPT with the same number of updates and a much lower loss.",
        "Jordan et al., Muon, 2024; the two rates and the linear decay to zero are ours, after a few "
        "trials on tiny Shakespeare",
    ),
    "nanochat": Entry(
        Recipe(
            Muon(lr=0.02, momentum=0.95, adam_lr=4e-3, b1=0.8, b2=0.95, eps=1e-10),
            schedule=WarmupStableDecay(warmup=0.0, decay=0.2, shape="linear"),
            batch_size=256,
            steps=21_400,
            clip_norm=1.0,
        ),
        "Muon for the matrices of a transformer, AdamW for the rest.",
        "nanochat's first release, scripts/base_train.py (its embeddings have a rate of their own, "
        "0.2; the one rate here is that of its head)",
    ),
    "imagenet-sgd": Entry(
        Recipe(
            SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=StepDecay(every=30, drop=0.1, unit="epochs"),
            batch_size=256,
            epochs=90,
        ),
        "Residual networks on ImageNet.",
        "He et al., Deep Residual Learning, 2016; Goyal et al., Accurate, Large Minibatch SGD, 2017 "
        "(Nesterov, 90 epochs)",
    ),
    "transformer-adamw": Entry(
        Recipe(
            AdamW(lr=3e-4, b1=0.9, b2=0.95, weight_decay=0.1),
            schedule=WarmupCosine(warmup=0.05, floor=0.1),
            batch_size=64,
            epochs=10,
            clip_norm=1.0,
        ),
        "A starting point for any transformer.",
        "Brown et al., Language Models are Few-Shot Learners, 2020 (batch and length are ours)",
    ),
    "one-cycle": Entry(
        Recipe(
            SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
            schedule=OneCycle(),
            batch_size=128,
            epochs=30,
        ),
        "Convolutional networks in few epochs.",
        "Smith & Topin, Super-Convergence, 2018; decay and batch of Zagoruyko & Komodakis, Wide "
        "Residual Networks, 2016",
    ),
    "names": Entry(
        Recipe(
            AdamW(lr=3e-3, weight_decay=0.1),
            schedule=WarmupCosine(warmup=0.05),
            batch_size=128,
            epochs=10,
            clip_norm=1.0,
        ),
        "A small LSTM on lines of characters (`lines`): names, words.",
        "chosen on the validation split of makemore's names (`python -m benchmarks run names`)",
    ),
    "cifar-resnet": Entry(
        Recipe(
            SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
            schedule=OneCycle(),
            batch_size=64,
            epochs=15,
            augment="crop-flip",
        ),
        "A small residual network on ten thousand small photographs, in minutes without a GPU.",
        "one-cycle above, with the crops and flips of He et al., 2016; batch and length are ours, the "
        "first values tried with resnet:8,channels=32,stride=2 on CIFAR-10's first batch",
    ),
}


def named(name: str) -> Recipe:
    """Return a recipe of the book; the name of an optimizer stands for its defaults.

    Raises:
        RecipeError: No recipe or optimizer has that name.
    """
    if name in BOOK:
        return BOOK[name].recipe
    if name in OPTIMIZERS:
        optimizer = OPTIMIZERS[name]()
        return Recipe(optimizer, batch_size=FULL) if optimizer.line_search else Recipe(optimizer)
    raise RecipeError(
        "recipe",
        "must be a name in the book, the name of an optimizer, or a TOML file",
        got=name,
        hint=did_you_mean(name, [*BOOK, *OPTIMIZERS]),
    )


@checked(RecipeError)
def default_recipe(task: str, examples: int) -> Recipe:
    """Return the recipe for data without a tuned one.

    AdamW with warmup and a cosine decay to zero. The batch size is the power of two nearest to the square
    root of the number of examples, between 16 and 256: small sets need many noisy updates, large ones full
    vector units. The epochs make about 4,000 updates; there are 10 to 60 of them, or more where 60 make fewer
    than 1,200 updates. The rate 1e-3 and decay 0.1 were chosen with the default models on digits,
    california_housing, titanic and adult.

    Args:
        task: `classification`, `regression` or `language`.
        examples: Training examples (windows, for language).
    """
    if task == "language":
        return named("nanogpt-cpu")
    batch = 2 ** min(8, max(4, round(math.log2(max(examples, 1) ** 0.5))))
    epochs = min(60, max(10, round(4000 * batch / max(examples, 1))))
    epochs = max(epochs, -(-1200 * batch // max(examples, 1)))
    return Recipe(
        AdamW(lr=1e-3, weight_decay=0.1),
        schedule=WarmupCosine(warmup=0.05),
        batch_size=max(1, min(batch, examples)),
        epochs=epochs,
        clip_norm=1.0,
    )


@checked(RecipeError)
def tabular_recipe(task: str, examples: int) -> Recipe:
    """Return the recipe for an ensemble on a table (`problem.models.tabular`).

    That of `default_recipe` with a rate of 3e-3 and, for classes, 10 to 30 epochs. Below 2,000 examples,
    fewer updates: 400 for classes, 600 at a rate of 1e-2 for values. Both were chosen on development sets
    of `python -m benchmarks tables` (`dev/LOG.md`).

    Args:
        task: `classification` or `regression`.
        examples: Training examples.
    """
    base = default_recipe(task, examples)
    assert isinstance(base.batch_size, int)
    classes, rate = task == "classification", 3e-3
    epochs = base.epochs
    if examples < FEW_EXAMPLES:
        updates, rate = (400, rate) if classes else (600, 1e-2)
        epochs = -(-updates * base.batch_size // max(examples, 1))
    elif classes:
        epochs = min(30, max(10, round(4000 * base.batch_size / examples)))
    return replace(base, optimizer=AdamW(lr=rate, weight_decay=0.1), epochs=epochs)
