"""SGD with momentum against Adam on unseen data."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, few_digits, rare_features
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="SGD with momentum generalises better than Adam where both fit the training data.",
    source="Wilson et al., The Marginal Value of Adaptive Gradient Methods, 2017; against: Choi et al. 2019",
    counts="the validation loss of Adam is higher over all seeds",
)
def sgd_generalises(lab: Bench) -> None:
    """Train until both fit: on the problem that was built for the claim, and on few digits."""
    cases = {"on the rare features of Wilson et al.": (rare_features(), 100)}
    cases |= {f"on 150 digits, {n} units": (classifier(n, data=few_digits()), 30) for n in (16, 64)}
    shown = {}
    for when, (problem, epochs) in cases.items():
        rules = {"SGD + momentum": SGD(lr=0.03, momentum=0.9), "Adam": Adam(lr=3e-3)}
        recipes = {n: Recipe(o, batch_size=16, epochs=epochs) for n, o in rules.items()}
        arms = lab.train(problem, recipes, label=when)
        lab.above("validation loss of Adam minus that of SGD", arms.gap("Adam", "SGD + momentum"), when=when)
        for name in rules:
            lab.below(f"training loss, {name}", arms.values(name, "train_loss"), 0.1, when=when)
            shown[f"{name}, {when}"] = arms.values(name)
    lab.note(
        "Adam moves every weight alike: on new rows two constant inputs pull against the one that tells."
    )
    lab.intervals("Validation loss", shown, "loss", log_x=True)
