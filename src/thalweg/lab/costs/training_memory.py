"""Memory of training against inference."""

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Training needs several times the memory of inference: activations, gradients and the "
    "optimizer's state.",
    source="lecture notes; Rajbhandari et al., ZeRO, 2020 (16 bytes a parameter with Adam in mixed "
    "precision)",
    counts="weights, gradients and Adam's state are 4 times the weights; with activations more",
)
def training_memory(lab: Bench) -> None:
    """Add up what is kept for a step."""
    counted = cost(classifier(256, 256), Recipe(Adam(), batch_size=128, epochs=1), measure=False)
    held = counted.memory
    weights, state = held.inputs["weights"], held.inputs.get("optimizer", 0)
    parts = {
        "weights": weights,
        "gradients": held.gradients,
        "optimizer": state,
        "activations": held.activations,
    }
    total = (weights + held.gradients + state) / weights
    lab.equal("weights, gradients and state over weights", total, 4.0, 0.05)
    lab.equal("optimizer's state over weights", state / weights, 2.0, 0.05)
    lab.tell("copies of the weights in training with Adam", "4", total, 4.0, 0.05)
    for name, size in parts.items():
        lab.row(what=name, bytes=size, over_weights=size / weights)
    lab.intervals(
        "Kept for a step, MLP 256-256, batch 128, Adam", {n: [b / 1e3] for n, b in parts.items()}, "kilobytes"
    )
