"""The sign of the delta rule in all four cases."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import function
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The delta rule moves a weight by rate x (target - output) x input: up when the output is too "
    "low and the input positive.",
    source="Widrow & Hoff, Adaptive Switching Circuits, 1960",
    counts="the step of gradient descent equals that of the rule in all four cases of signs, within 1e-6",
)
def delta_rule(lab: Bench) -> None:
    """Take one step on half the squared error of one linear unit."""
    rate, weight = 0.1, 0.5
    steps = {}
    for x in (2.0, -2.0):
        for target in (3.0, -3.0):
            squared = function(lambda w, x=x, t=target: (t - w[0] * x) ** 2 / 2, (weight,))
            arms = lab.train(squared, {"sgd": Recipe(SGD(lr=rate), batch_size=1, steps=1)}, noiseless=True)
            moved = float(arms.runs("sgd")[0].params.w[0]) - weight
            told = rate * (target - weight * x) * x
            steps[f"input {x:+.0f}, target {target:+.0f}"] = [moved]
            lab.equal(f"step for input {x:g} and target {target:g}", moved, told, 1e-6)
            lab.row(input=x, target=target, output=weight * x, step=moved, rule=told)
    lab.intervals("Step of the weight from 0.5", steps, "step", marks={"no step": 0.0})
