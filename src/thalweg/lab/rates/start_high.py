"""A high rate that falls, against constant rates."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Cosine


@experiment(
    claim="Starting high and lowering the rate ends below every constant rate of the same length.",
    source="Robbins & Monro 1951; Goodfellow et al., Deep Learning, 2016, section 8.3.1",
    counts="with decay the validation loss is below that of each constant rate over all seeds",
)
def start_high(lab: Bench) -> None:
    """Compare a cosine from 0.5 with constant rates."""
    rates = {f"constant {r:g}": Recipe(SGD(lr=r), batch_size=8, epochs=8) for r in (0.5, 0.1, 0.02)}
    falling = {"0.5, falling": Recipe(SGD(lr=0.5), Cosine(), batch_size=8, epochs=8)}
    arms = lab.train(classifier(32), rates | falling)
    for name in rates:
        lab.below(
            "validation loss minus that of the constant rate",
            arms.gap("0.5, falling", name),
            when=f"against {name}",
        )
    lab.draw("Loss of each batch of 8", arms.series(window=41), log_y=True)
