"""Rescaling two layers."""

import equinox as eqx
import jax
import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, logits, rows_of, sharpness
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Rescaling two layers of a ReLU network changes its sharpness as much as one likes and its "
    "outputs not at all.",
    source="Dinh et al., Sharp Minima Can Generalize for Deep Nets, 2017",
    counts="outputs differ by less than 1e-4; the sharpness grows more than threefold",
)
def reparameterised(lab: Bench) -> None:
    """Multiply one layer by 4 and divide the next by 4."""
    problem = classifier(16, bias="off")
    arms = lab.train(problem, {"sgd": Recipe(SGD(lr=0.1), batch_size=32, epochs=10)})
    factors, sharp, worst = (1.0, 2.0, 4.0), [], 0.0
    for run in arms.runs("sgd"):
        model, found = end_of(run), []
        plain = logits(model, rows_of(problem)[0])
        for factor in factors:
            first, second = model.params.layers
            layers = tuple(
                jax.tree.map(lambda w, f=f: w * f, layer)
                for layer, f in ((first, factor), (second, 1 / factor))
            )
            other = model._replace(params=eqx.tree_at(lambda p: p.layers, model.params, layers))
            found.append(sharpness(problem, other))
            worst = max(worst, float(np.abs(logits(other, rows_of(problem)[0]) - plain).max()))
        sharp.append(found)
    values = np.array(sharp)
    lab.equal("largest difference of an output", worst, 0.0, 1e-4)
    lab.above("sharpness at factor 4 over that at factor 1", values[:, 2] / values[:, 0], 3.0)
    drawn = Series(
        "", np.array(factors), values.mean(axis=0), values.min(axis=0), values.max(axis=0), dots=True
    )
    lab.draw("Sharpness of one and the same function", [drawn], x="factor of the first layer", y="sharpness")
