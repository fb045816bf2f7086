"""Embeddings from pairs: two views of one example attract each other, those of others repel.

Oord et al., Representation Learning with Contrastive Predictive Coding, 2018 (InfoNCE); Chen et al., A Simple
Framework for Contrastive Learning, 2020. The loss compares the examples of a batch with each other, so it is
one number for a batch, and every batch is whole.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import thalweg as tw


def encoder(key):
    return eqx.nn.MLP(64, 16, 64, 1, key=key)


def info_nce(model, batch):
    left, right = (jax.vmap(model)(batch[side]) for side in ("left", "right"))
    left, right = (each / jnp.linalg.norm(each, axis=1, keepdims=True) for each in (left, right))
    similarity = left @ right.T / 0.2
    own = jnp.arange(len(similarity))
    losses = optax.softmax_cross_entropy_with_integer_labels(similarity, own)
    return losses.mean(), {"matched": jnp.mean(similarity.argmax(1) == own)}


def problem() -> tw.Problem:
    rng, images = np.random.default_rng(0), load_digits().data / 16
    views = {side: images + rng.normal(0, 0.2, images.shape) for side in ("left", "right")}
    return tw.Problem(encoder, views, objective=info_nce)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=64, epochs=20)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print(f"test pairs that find each other among 64: {run.result['test_figures']['matched']:.1%}")
