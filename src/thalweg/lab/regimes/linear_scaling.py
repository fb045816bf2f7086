"""The linear scaling rule."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Constant, Warmup

RATE, BATCH = 0.005, 8


@experiment(
    claim="When the batch grows k-fold, a rate k times as large keeps the loss at equal epochs.",
    source="Goyal et al., Accurate, Large Minibatch SGD, 2017; limits: Shallue et al. 2019",
    counts="the validation loss is below 1.15 times that of batch 8, over all seeds",
)
def linear_scaling(lab: Bench) -> None:
    """Scale batch and rate together until the rate is too high; beside it, the batch alone."""
    starts = {"": Constant(), ", with warmup": Warmup(length=2, unit="epochs")}

    def scaled(k: int, rate: float, schedule: Constant | Warmup) -> Recipe:
        return Recipe(SGD(lr=rate, momentum=0.9), schedule, batch_size=k * BATCH, epochs=10)

    recipes = {"batch 8": scaled(1, RATE, Constant())}
    for k in (4, 16, 64):
        recipes |= {f"k = {k}{when}": scaled(k, k * RATE, start) for when, start in starts.items()}
        recipes[f"k = {k}, rate as before"] = scaled(k, RATE, Constant())
    arms = lab.train(classifier(32), recipes)
    for name in recipes:
        if name.startswith("k") and "before" not in name:
            lab.below("loss over that of batch 8", arms.ratio(name, "batch 8"), 1.15, f"for {name}")
    lab.note("With the rate as before, the loss is a multiple at every k: the rule is worth having.")
    lab.note("At k = 64 the rate of 0.32 is above what this network bears, and warmup does not change that.")
    lab.intervals("Validation loss after 10 epochs", {n: arms.values(n) for n in recipes}, "loss", log_x=True)
