"""A generator against a discriminator: points on a ring of eight heaps.

Goodfellow et al., Generative Adversarial Nets, 2014. Each objective updates its own model, in turn.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw

ANGLES = np.arange(8) * np.pi / 4
CENTRES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def generator(key):
    return eqx.nn.MLP(8, 2, 64, 2, key=key)


def discriminator(key):
    return eqx.nn.MLP(2, "scalar", 64, 2, key=key)


def generated(model, count, key):
    return jax.vmap(model.generator)(jax.random.normal(key, (count, 8)))


def fools(model, batch, key):
    scores = jax.vmap(model.discriminator)(generated(model, len(batch), key))
    return jnp.mean(jax.nn.softplus(-scores))


def tells_apart(model, batch, key):
    fake = jax.vmap(model.discriminator)(generated(model, len(batch), key))
    real = jax.vmap(model.discriminator)(batch)
    return jnp.mean(jax.nn.softplus(fake) + jax.nn.softplus(-real)), {"told_apart": jnp.mean(real > fake)}


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    points = CENTRES[rng.integers(0, 8, 4000)] + rng.normal(0, 0.1, (4000, 2))
    return tw.Problem(
        models={"generator": generator, "discriminator": discriminator},
        data=points,
        objectives={"generator": fools, "discriminator": tells_apart},
        alternate={"discriminator": 1, "generator": 1},
    )


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.Adam(lr=5e-4, b1=0.5), batch_size=128, steps=12000)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    drawn = np.asarray(generated(run.model, 1000, jax.random.key(1)))
    distances = np.linalg.norm(drawn[:, None] - CENTRES, axis=2)
    print(f"near a heap: {np.mean(distances.min(1) < 0.4):.0%}; heaps: {len(set(distances.argmin(1)))} of 8")
