"""The same number of weights in depth or in width."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Wide shallow networks are easier to train than deep narrow ones of the same size.",
    source="Li et al., Visualizing the Loss Landscape of Neural Nets, 2018; Zagoruyko & Komodakis 2016",
    counts="the training loss of the wide network is lower, each at the best of three rates, over all seeds",
)
def depth_or_width(lab: Bench) -> None:
    """Train two networks of about 5,000 weights."""
    shapes = {"1 x 64, wide": (64,), "12 x 18, deep": (18,) * 12}
    recipe = Recipe(SGD(momentum=0.9), batch_size=32, epochs=6)
    best, shown = {}, {}
    for name, widths in shapes.items():
        recipes = {f"{name}, {r:g}": recipe.vary(lr=[r])[0] for r in (0.005, 0.02, 0.05)}
        arms = lab.train(classifier(*widths), recipes, label=name)
        shown |= {each: arms.values(each, "train_loss") for each in recipes}
        best[name] = {s: min(shown[each][s] for each in recipes) for s in lab.seeds}
    gap = {s: best["1 x 64, wide"][s] - best["12 x 18, deep"][s] for s in lab.seeds}
    lab.below("training loss of wide minus deep", gap)
    lab.intervals("Training loss after 6 epochs, by rate", shown, "loss", log_x=True)
