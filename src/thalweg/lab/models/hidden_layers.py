"""2-4-2 against 2-6-5-4-2 on a hard boundary."""

from thalweg.insight.landscape.fitted import fitted
from thalweg.insight.landscape.subject import subject_of
from thalweg.lab.bench import Bench
from thalweg.lab.chart import Boundary
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, moons, spirals
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A 2-6-5-4-2 network draws a boundary that a 2-4-2 network cannot.",
    source="lecture notes on hidden layers; Bengio, Learning Deep Architectures for AI, 2009",
    counts="the accuracy on held-out points is higher by more than 2 points over all seeds",
)
def hidden_layers(lab: Bench) -> None:
    """Train both on two moons and draw their boundaries."""
    recipe = Recipe(Adam(lr=0.02), batch_size=64, epochs=lab.cut(60, 1))
    panels, found = {}, {}
    for when, data in (("on two moons", moons()), ("on two spirals", spirals())):
        for name, widths in {"2-4-2": (4,), "2-6-5-4-2": (6, 5, 4)}.items():
            problem = classifier(*widths, data=data, activation="tanh", initialisation="glorot")
            arms = lab.train(problem, {name: recipe}, label=f"{name} {when}")
            found[f"{name} {when}"] = arms.values(name, "metric")
            panels[name] = fitted(subject_of(arms.runs(name)[0]))
        ours, theirs = (found[f"{name} {when}"] for name in ("2-6-5-4-2", "2-4-2"))
        lab.above("accuracy, deeper minus 2-4-2", {s: ours[s] - theirs[s] for s in lab.seeds}, 0.02, when)
        drawn = {name: panel for name, panel in panels.items() if panel is not None}
        lab.picture(Boundary(f"What they have learned {when} (first seed)", drawn))
    lab.intervals("Accuracy on held-out points", found, "accuracy")
