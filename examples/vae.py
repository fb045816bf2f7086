"""A variational autoencoder: digits from a distribution over two numbers.

Kingma & Welling, Auto-Encoding Variational Bayes, 2014. The objective draws noise from its key; its two parts
are figures, which are logged.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from sklearn.datasets import load_digits

import thalweg as tw


class VAE(eqx.Module):
    encoder: eqx.nn.MLP
    decoder: eqx.nn.MLP

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.encoder = eqx.nn.MLP(64, 4, 64, 1, key=first)
        self.decoder = eqx.nn.MLP(2, 64, 64, 1, key=second)


def negative_elbo(model, batch, key):
    def example(x, key):
        mean, log_scale = jnp.split(model.encoder(x), 2)
        code = mean + jnp.exp(log_scale) * jax.random.normal(key, mean.shape)
        reconstruction = 0.5 * jnp.sum((model.decoder(code) - x) ** 2) / 0.1
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_scale) - 2 * log_scale - 1)
        return reconstruction, divergence

    reconstruction, divergence = jax.vmap(example)(batch, jax.random.split(key, len(batch)))
    return reconstruction + divergence, {"reconstruction": reconstruction, "divergence": divergence}


def problem() -> tw.Problem:
    return tw.Problem(VAE, load_digits().data / 16, objective=negative_elbo)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.Adam(lr=2e-3), batch_size=64, epochs=40)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print({name: round(value, 2) for name, value in run.result["test_figures"].items()})
    drawn = jax.vmap(run.model.decoder)(jax.random.normal(jax.random.key(0), (3, 2)))
    print(f"three new digits, brightest pixels: {[round(float(image.max()), 2) for image in drawn]}")
