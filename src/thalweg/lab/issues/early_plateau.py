"""A loss that stops early, and what it takes."""

import dataclasses

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, spirals
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A training loss that levels off early, far above zero, is a lack of capacity: a larger "
    "network goes on.",
    source="lecture notes' table of training issues; Goodfellow et al., 2016, section 11.3",
    counts="four times as long lowers the small network's loss by less than half; more units lower it "
    "more than threefold",
)
def early_plateau(lab: Bench) -> None:
    """Train spirals with 3 and with 64 units, short and long."""
    short, long = (
        Recipe(Adam(lr=0.01), batch_size=32, epochs=lab.cut(30, 1)),
        Recipe(Adam(lr=0.01), batch_size=32, epochs=lab.cut(120, 1)),
    )
    arms = {}
    for name, width in (("3 units", 3), ("64 units", 64)):
        arms[name] = lab.train(classifier(width, data=spirals()), {"short": short, "long": long}, label=name)
    longer = arms["3 units"].ratio("long", "short", "train_loss")
    small, large = (arms[n].values("long", "train_loss") for n in ("3 units", "64 units"))
    lab.above("3 units: loss after 120 epochs over that after 30", longer, 0.5)
    lab.below("loss with 64 units over that with 3", {s: large[s] / small[s] for s in lab.seeds}, 1 / 3)
    lines = [dataclasses.replace(a.series(window=25, names=["long"])[0], name=n) for n, a in arms.items()]
    lab.draw("Loss on two spirals", lines)
