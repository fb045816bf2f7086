"""Inputs with mean 0 and variance 1."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, stretched_line, stretched_moons
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@experiment(
    claim="Normalising the inputs makes training much faster.",
    source="LeCun et al., Efficient BackProp, 1998, section 4.3",
    counts="the loss with standardised inputs is below half of that with raw ones, each at its best "
    "rate, over all seeds",
)
def input_scaling(lab: Bench) -> None:
    """Train on inputs whose axes are 1 and 100 times as wide, raw and standardised."""
    kinds = ("none", "standardise")
    cases = {
        "for a linear model": {kind: stretched_line(kind) for kind in kinds},
        "for a network of 16 ReLU units": {
            kind: classifier(16, data=stretched_moons(kind)) for kind in kinds
        },
    }
    shown = {}
    for when, problems in cases.items():
        best = {}
        for kind, problem in problems.items():
            recipe = Recipe(SGD(lr=0.1), batch_size=32, epochs=8)
            arms = lab.train(problem, {f"{kind} {r:g}": recipe.vary(lr=[r])[0] for r in RATES}, label=when)
            values = [arms.values(name, "train_loss") for name in arms.names]
            best[kind] = {seed: min(each[seed] for each in values) for seed in lab.seeds}
        ratio = {s: best["standardise"][s] / best["none"][s] for s in lab.seeds}
        lab.below("loss standardised over raw", ratio, 0.5, when)
        shown |= {f"{'raw' if kind == 'none' else 'standardised'}, {when}": best[kind] for kind in kinds}
    lab.note("ReLU units with weights and biases of their own rescale their inputs; a linear model cannot.")
    lab.intervals("Training loss after 8 epochs, best of five rates", shown, "loss", log_x=True)
