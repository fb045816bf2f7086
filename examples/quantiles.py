"""Three quantiles at once instead of a mean, by the pinball loss.

Koenker & Bassett, Regression Quantiles, 1978. The loss is a function of outputs and targets.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw

LEVELS = np.array([0.1, 0.5, 0.9], np.float32)


def network(key):
    return eqx.nn.MLP(1, 3, 32, 2, key=key)


def pinball(model, batch):
    x, y = batch
    above = y[:, None] - jax.vmap(model)(x)
    losses = jnp.maximum(LEVELS * above, (LEVELS - 1) * above).mean(axis=1)
    return losses, {f"below_{level:.0%}": above[:, at] < 0 for at, level in enumerate(LEVELS)}


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (2000, 1))
    y = np.sin(2 * x[:, 0]) + rng.normal(0, 0.1 + 0.2 * np.abs(x[:, 0]))
    return tw.Problem(network, (x, y), objective=pinball)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.Adam(lr=3e-3), schedule=tw.Cosine(), batch_size=64, epochs=40)


if __name__ == "__main__":
    print(tw.train(problem(), recipe()).result["test_figures"])
