"""Depth with and without residual connections."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Deep plain networks train worse than shallow ones; with residual connections they train well.",
    source="He et al., Deep Residual Learning, 2016; Li et al., Visualizing the Loss Landscape, 2018",
    counts="the training loss of 14 plain layers is above that of 4, and that of 14 residual ones below it",
)
def plain_or_residual(lab: Bench) -> None:
    """Train 4 and 14 hidden layers, plain and residual."""
    recipe = Recipe(SGD(lr=0.03, momentum=0.9), batch_size=32, steps=250)
    losses = {}
    for skip, name in ((False, "plain"), (True, "residual")):
        for depth in (4, 14):
            start = "he" if not skip else "normal(0.05)"
            problem = classifier(*[24] * min(depth, lab.cut(depth, 5)), skip=skip, initialisation=start)
            arms = lab.train(problem, {f"{name}, {depth} layers": recipe}, label=f"{name} {depth}")
            losses[f"{name}, {depth} layers"] = arms.values(f"{name}, {depth} layers", "train_loss")
    deep, shallow = losses["plain, 14 layers"], losses["plain, 4 layers"]
    lab.above("plain: loss at 14 layers minus that at 4", {s: deep[s] - shallow[s] for s in lab.seeds})
    other = losses["residual, 14 layers"]
    lab.below("14 layers: loss with residuals minus plain", {s: other[s] - deep[s] for s in lab.seeds})
    lab.note(
        "Plain layers start by He's rule, residual ones with normal weights of 0.05: sums grow with depth."
    )
    lab.intervals("Training loss after 250 updates", losses, "loss", log_x=True)
