"""A class and a number from one model, each with a loss and metrics of its own, from two arrays.

The targets are a dictionary, and so are the outputs. Some examples count more than others.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw


class House(eqx.Module):
    rooms: eqx.nn.Linear
    body: eqx.nn.MLP

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.rooms = eqx.nn.Linear(3, 8, key=first)
        self.body = eqx.nn.MLP(10, 4, 32, 1, key=second)

    def __call__(self, given):
        z = self.body(jnp.concatenate([self.rooms(given["rooms"]), given["place"]]))
        return {"kind": z[:3], "price": z[3:]}


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    rooms, place = rng.normal(4, 1, (900, 3)), rng.normal(size=(900, 2))
    size = rooms.sum(1)
    kind = np.array(["flat", "house", "villa"])[np.digitize(size, [11, 13])]
    price = 100 * np.exp(0.1 * size + 0.2 * place[:, 0]) + rng.normal(0, 10, 900)
    data = tw.examples(
        {"rooms": rooms, "place": place},
        targets={"kind": kind, "price": price},
        weights=1 + (place[:, 1] > 0),
        normalise="standardise",
    )
    return tw.Problem(
        House, data, loss={"price": ("huber", 0.5)}, metric=["price.r2", "kind.accuracy", "kind.macro_f1"]
    )


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=30)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print(run.result["test_metric"], run.result["test_metrics"])
