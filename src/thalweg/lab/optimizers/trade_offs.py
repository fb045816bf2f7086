"""What an optimizer costs in memory, and how carefully its rate must be tuned."""

import numpy as np

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD, Adam, RMSprop
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Adam needs twice the optimizer memory of momentum SGD, and its rate needs less tuning.",
    source="lecture notes' table of trade-offs; Goodfellow et al., 2016, section 8.5.4",
    counts="memory 2 against 1 copies of the weights; a wider range of rates within twice the best loss",
)
def trade_offs(lab: Bench) -> None:
    """Measure both on digits."""
    rates = np.geomspace(1e-4, 3.0, lab.cut(7, 2))
    kinds = {"SGD": SGD(), "momentum": SGD(momentum=0.9), "RMSprop": RMSprop(), "Adam": Adam()}
    widths, lines, copies = {}, [], {}
    for name, optimizer in kinds.items():
        recipe = Recipe(optimizer, batch_size=32, epochs=3)
        held = cost(classifier(32), recipe, measure=False).memory.inputs
        copies[name] = held.get("optimizer", 0) / held["weights"]
        arms = lab.train(
            classifier(32), {f"{r:.3g}": recipe.vary(lr=[float(r)])[0] for r in rates}, label=name
        )
        losses = np.array([list(arms.values(n, "train_loss").values()) for n in arms.names])
        widths[name] = np.log10(rates[1] / rates[0]) * (losses < 2 * losses.min(axis=0) + 0.02).sum(axis=0)
        lines.append(Series(name, rates, np.minimum(losses, 10).mean(axis=1), dots=True))
        lab.row(rule=name, copies_of_weights=copies[name], decades_of_rate=float(widths[name].mean()))
    lab.equal("copies of the weights that Adam keeps", copies["Adam"], 2.0, 0.05, "for the memory")
    lab.equal("copies of the weights that momentum keeps", copies["momentum"], 1.0, 0.05, "for the memory")
    lab.tell("copies of the weights that Adam keeps", "2", copies["Adam"], 2.0, 0.05)
    lab.tell("copies of the weights that momentum keeps", "1", copies["momentum"], 1.0, 0.05)
    lab.above(
        "decades of good rates, Adam minus momentum",
        widths["Adam"] - widths["momentum"],
        when="for the tuning",
    )
    lab.draw("Training loss after 3 epochs", lines, x="rate", log_x=True, log_y=True)
