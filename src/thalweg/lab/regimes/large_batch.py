"""Whether large batches generalise worse."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, few_digits
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Large batches generalise worse than small ones.",
    source="Keskar et al., On Large-Batch Training, 2017; against it Hoffer et al., Train Longer, 2017",
    counts="the validation loss of the large batch is higher over all seeds",
)
def large_batch(lab: Bench) -> None:
    """Compare batch 8 and full batch at equal epochs and at equal updates."""
    data = few_digits()
    for when, lengths in (("at equal epochs", (20, 20)), ("at equal updates", (20, 380))):
        recipes = {
            "batch 8": Recipe(SGD(lr=0.05), batch_size=8, epochs=lengths[0]),
            "full batch": Recipe(SGD(lr=0.05), batch_size="full", epochs=lengths[1]),
        }
        arms = lab.train(classifier(32, data=data), recipes, label=when)
        lab.above(
            "validation loss of the full batch minus that of 8", arms.gap("full batch", "batch 8"), when=when
        )
        lab.intervals(f"Validation loss {when}", {n: arms.values(n) for n in recipes}, "loss", log_x=True)
