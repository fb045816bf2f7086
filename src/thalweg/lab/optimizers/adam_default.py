"""Adam out of the box."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Adam with its default rate is nearly as good as tuned SGD, and SGD with its default rate is not.",
    source='Kingma & Ba, Adam, 2015; Karpathy, CS231n, 2015 ("a good default")',
    counts="Adam's loss is at most 1.3 times that of tuned momentum SGD; SGD at 0.01 is above that",
)
def adam_default(lab: Bench) -> None:
    """Compare defaults with SGD at the best of a grid, short and long."""
    rules = {"Adam, default": Adam(), "SGD, default": SGD()}
    rules |= {f"momentum {r:g}": SGD(lr=r, momentum=0.9) for r in (0.003, 0.01, 0.03, 0.1, 0.3)}
    for epochs in (10, 40):
        when = f"after {epochs} epochs"
        recipes = {n: Recipe(o, batch_size=32, epochs=epochs) for n, o in rules.items()}
        arms = lab.train(classifier(32), recipes, label=when)
        tuned = {s: min(arms.values(n)[s] for n in rules if n.startswith("momentum")) for s in lab.seeds}
        for name, check in (("Adam, default", lab.below), ("SGD, default", lab.above)):
            ratio = {s: v / tuned[s] for s, v in arms.values(name).items()}
            check(f"loss of {name.replace(',', ' by')} over that of tuned SGD", ratio, 1.3, when)
        lab.intervals(f"Validation loss {when}", {n: arms.values(n) for n in rules}, "loss", log_x=True)
