"""nanoGPT's settings on a small text."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import sentences
from thalweg.problem.models import GPT
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine


@experiment(
    claim="nanoGPT's b2 of 0.95 to 0.99 and weight decay of 0.1 are better than Adam's defaults on "
    "small language models.",
    source="Karpathy, nanoGPT, 2023 (train_shakespeare_char); Brown et al. 2020",
    counts="the validation loss is lower than with b2 = 0.999 and no decay over all seeds",
)
def nanogpt(lab: Bench) -> None:
    """Train with both settings."""
    problem = Problem(GPT(layers=1, heads=2, width=32), sentences())
    rules = {
        "Adam's defaults": AdamW(lr=0.003, b2=0.999, weight_decay=0.0),
        "nanoGPT: b2 0.99, decay 0.1": AdamW(lr=0.003, b2=0.99, weight_decay=0.1),
        "GPT-3: b2 0.95, decay 0.1": AdamW(lr=0.003, b2=0.95, weight_decay=0.1),
    }
    recipes = {
        n: Recipe(o, WarmupCosine(warmup=0.1), batch_size=16, steps=60, clip_norm=1.0)
        for n, o in rules.items()
    }
    arms = lab.train(problem, recipes)
    for name, when in (
        ("nanoGPT: b2 0.99, decay 0.1", "with b2 = 0.99"),
        ("GPT-3: b2 0.95, decay 0.1", "with b2 = 0.95"),
    ):
        lab.below("validation loss minus that of the defaults", arms.gap(name, "Adam's defaults"), when=when)
    lab.draw("Loss of each batch", arms.series(window=5))
