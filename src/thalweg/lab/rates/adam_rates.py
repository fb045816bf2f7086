"""Three rates of Adam."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Of Adam's rates 1e-2, 1e-3 and 1e-4, the default 1e-3 is best.",
    source="Kingma & Ba, Adam, 2015, whose default it is",
    counts="the training loss at 1e-3 is the lowest of the three over all seeds",
)
def adam_rates(lab: Bench) -> None:
    """Train digits short and long, and in a deep network."""
    cases = {
        "in 16 layers, after 10 epochs": (classifier(*[32] * lab.cut(16, 4)), 10),
        "in 1 layer, after 3 epochs": (classifier(32), 3),
        "in 1 layer, after 25 epochs": (classifier(32), 25),
    }
    for when, (problem, epochs) in cases.items():
        rates = {f"{r:g}": Recipe(Adam(lr=r), batch_size=32, epochs=epochs) for r in (1e-2, 1e-3, 1e-4)}
        arms = lab.train(problem, rates, label=when)
        for other in ("0.01", "0.0001"):
            gap = arms.gap("0.001", other, "train_loss")
            lab.below(f"loss at 1e-3 minus that at {float(other):.0e}", gap, when=when)
        values = {n: arms.values(n, "train_loss") for n in rates}
        lab.intervals(f"Training loss {when}, Adam", values, "loss", log_x=True)
