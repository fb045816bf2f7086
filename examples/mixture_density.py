"""A target with several answers: a mixture of normal distributions for every input.

Bishop, Mixture Density Networks, 1994, with his inverse problem: y = x + 0.3 sin(2 pi x), turned round.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw


def network(key):
    return eqx.nn.MLP(1, 9, 32, 2, activation=jnp.tanh, key=key)


def negative_log_likelihood(model, batch):
    logits, means, log_scales = jnp.split(jax.vmap(model)(batch["y"]), 3, axis=1)
    each = -0.5 * ((batch["x"] - means) * jnp.exp(-log_scales)) ** 2 - log_scales - 0.5 * jnp.log(2 * jnp.pi)
    return -jax.nn.logsumexp(jax.nn.log_softmax(logits) + each, axis=1)


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    x = rng.random((1000, 1))
    y = x + 0.3 * np.sin(2 * np.pi * x) + rng.uniform(-0.1, 0.1, (1000, 1))
    return tw.Problem(network, {"x": x, "y": y}, objective=negative_log_likelihood)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.Adam(lr=3e-3), schedule=tw.Cosine(), batch_size=50, epochs=100)


if __name__ == "__main__":
    loss = tw.train(problem(), recipe()).result["test_loss"]
    print(f"negative log-likelihood: {loss:.2f} (one normal distribution: about 0.2)")
