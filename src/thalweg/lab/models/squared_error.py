"""Squared error against cross-entropy for classes."""

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment


@experiment(
    claim="A confidently wrong sigmoid unit has almost no gradient under squared error, and a full one "
    "under cross-entropy.",
    source="Nielsen, Neural Networks and Deep Learning, 2015, chapter 3; Goodfellow et al., 2016, "
    "section 6.2.2.2",
    counts="at a logit of -6 for target 1 the gradients are 0.0049 and 0.9975",
)
def squared_error(lab: Bench) -> None:
    """Compare both gradients over the logit, and curves from a bad start."""
    z = jnp.linspace(-8.0, 8.0, 81)
    squared = jax.vmap(jax.grad(lambda x: (1 - jax.nn.sigmoid(x)) ** 2))
    crossed = jax.vmap(jax.grad(lambda x: jax.nn.softplus(-x)))
    both = {"squared error": squared, "cross-entropy": crossed}
    at = {name: float(-rule(jnp.array([-6.0]))[0]) for name, rule in both.items()}
    p = 1 / (1 + np.exp(6.0))
    lab.equal("size of the gradient at -6, squared error", at["squared error"], 2 * (1 - p) ** 2 * p, 1e-6)
    lab.equal("size of the gradient at -6, cross-entropy", at["cross-entropy"], 1 - p, 1e-6)
    lab.below("squared over cross-entropy at -6", at["squared error"] / at["cross-entropy"], 0.01)
    lab.tell("gradient at -6, squared error", "0.0049", at["squared error"], 0.0049, 5e-5)
    lab.tell("gradient at -6, cross-entropy", "0.9975", at["cross-entropy"], 0.9975, 5e-5)
    lab.row(logit=-6.0, **{n.replace(" ", "_").replace("-", "_"): v for n, v in at.items()})
    lines = [Series(n, np.asarray(z), np.abs(np.asarray(rule(z)))) for n, rule in both.items()]
    lab.draw("Size of the gradient for target 1", lines, x="logit", y="size")
