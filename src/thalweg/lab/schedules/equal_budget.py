"""Schedules at equal budget."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    StepDecay,
    WarmupCosine,
)


@experiment(
    claim="Every schedule that lowers the rate ends at a lower loss than the constant rate, at equal length.",
    source="Robbins & Monro 1951; Loshchilov & Hutter, SGDR, 2017; Smith, Super-Convergence, 2018",
    counts="the training loss is lower than with the constant rate for each schedule, over all seeds",
)
def equal_budget(lab: Bench) -> None:
    """Train digits with each schedule from the same rate."""
    kinds = {
        "constant": Constant(),
        "step": StepDecay(every=2, unit="epochs"),
        "exponential": Exponential(decay=0.75, unit="epochs"),
        "inverse time": InverseTime(k=0.5, unit="epochs"),
        "cosine": Cosine(),
        "one cycle": OneCycle(),
        "warmup + cosine": WarmupCosine(),
    }
    optimizer = SGD(lr=0.3, momentum=0.9)
    arms = lab.train(
        classifier(32), {n: Recipe(optimizer, s, batch_size=16, epochs=6) for n, s in kinds.items()}
    )
    for name in list(kinds)[1:]:
        lab.below(
            "training loss minus that of the constant rate",
            arms.gap(name, "constant", "train_loss"),
            when=f"for {name}",
        )
    lab.draw("The rate", arms.series("learning_rate"), y="rate")
    lab.intervals(
        "Training loss at the end", {n: arms.values(n, "train_loss") for n in kinds}, "loss", log_x=True
    )
