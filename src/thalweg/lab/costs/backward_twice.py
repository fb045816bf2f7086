"""The backward pass against the forward pass."""

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, digits, sentences
from thalweg.problem.models import CNN, GPT
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The backward pass costs twice the operations of the forward pass, so that training costs "
    "three times inference.",
    source="Kaplan et al., Scaling Laws, 2020, section 2.1; lecture notes",
    counts="backward over forward in products is within 1.8 to 2.2",
)
def backward_twice(lab: Bench) -> None:
    """Count both for several models."""
    models = {
        "for an MLP of 4 hidden layers": classifier(128, 128, 128, 128),
        "for an MLP of 1 hidden layer": classifier(64),
        "for a small CNN": Problem(CNN([8, 16]), digits()),
        "for a GPT of 2 blocks": Problem(GPT(layers=2, heads=2, width=32), sentences()),
    }
    ratios = {}
    for when, problem in models.items():
        counted = cost(problem, Recipe(SGD(), batch_size=32, epochs=1), measure=False)
        ratios[when.removeprefix("for ")] = [counted.backward_ratio]
        lab.equal("backward over forward", counted.backward_ratio, 2.0, 0.2, when)
        lab.row(
            model=when,
            forward=counted.forward.total,
            backward=counted.backward.total,
            ratio=counted.backward_ratio,
        )
    lab.tell("backward over forward, a deep MLP", "2", ratios["an MLP of 4 hidden layers"][0], 2.0, 0.2)
    lab.note("The gradient of the input is not computed, so that the first layer costs once, not twice.")
    lab.intervals("Backward over forward operations", ratios, "ratio", marks={"texts: 2": 2.0})
