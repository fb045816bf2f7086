"""The gradient of softmax and cross-entropy together."""

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment


@experiment(
    claim="The gradient of cross-entropy with respect to the logits is p - y.",
    source="Goodfellow et al., Deep Learning, 2016, section 6.2.2.3; lecture notes CS231n",
    counts="the largest difference from p - y over random logits is below 1e-6",
)
def softmax_gradient(lab: Bench) -> None:
    """Differentiate the loss and compare with p - y."""
    random = np.random.default_rng(0)
    logits = jnp.asarray(3 * random.normal(size=(50, 10)), jnp.float32)
    labels = jnp.asarray(random.integers(0, 10, 50))
    chosen = jnp.arange(50), labels
    gradient = jax.grad(lambda z: -jax.nn.log_softmax(z)[chosen].sum())(logits)
    told = jax.nn.softmax(logits) - jax.nn.one_hot(labels, 10)
    lab.equal("largest difference from p - y", float(jnp.abs(gradient - told).max()), 0.0, 1e-6)
    lab.row(examples=50, classes=10, largest_gradient=float(jnp.abs(gradient).max()))
    p = np.asarray(jax.nn.softmax(logits)[chosen])
    order, found = np.argsort(p), np.asarray(gradient[chosen])
    lines = [
        Series("p - 1", p[order], p[order] - 1),
        Series("by backpropagation", p[order], found[order], dots=True),
    ]
    lab.draw("Gradient of the right class's logit", lines, x="probability of the right class", y="gradient")
