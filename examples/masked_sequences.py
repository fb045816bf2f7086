"""Sequences of different lengths: padded, with a mask, one number predicted from each."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw


class Summing(eqx.Module):
    step: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.step = eqx.nn.GRUCell(2, 16, key=first)
        self.head = eqx.nn.Linear(16, 1, key=second)

    def __call__(self, values, mask):
        def read(carry, row):
            value, present = row
            return jnp.where(present, self.step(value, carry), carry), None

        return self.head(jax.lax.scan(read, jnp.zeros(16), (values, mask))[0])[0]


def squared_error(model, batch):
    return (jax.vmap(model)(batch["values"], batch["mask"]) - batch["total"]) ** 2


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    values, lengths = rng.normal(size=(500, 12, 2)), rng.integers(3, 13, 500)
    mask = np.arange(12) < lengths[:, None]
    total = (values[..., 0] * mask).sum(1)  # the second number of each step means nothing
    return tw.Problem(Summing, {"values": values, "mask": mask, "total": total}, objective=squared_error)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=1e-2), batch_size=32, epochs=40, clip_norm=1.0)


if __name__ == "__main__":
    print(
        f"mean squared error: {tw.train(problem(), recipe()).result['test_loss']:.3f} (the mean: about 7.5)"
    )
