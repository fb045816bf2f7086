"""A model of two inputs and two kinds of outputs: a class and a number from an image and a row of figures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import thalweg as tw


class TwoInputs(eqx.Module):
    image: eqx.nn.MLP
    figures: eqx.nn.Linear
    head: eqx.nn.MLP

    def __init__(self, key):
        first, second, third = jax.random.split(key, 3)
        self.image = eqx.nn.MLP(64, 16, 32, 1, key=first)
        self.figures = eqx.nn.Linear(3, 16, key=second)
        self.head = eqx.nn.MLP(32, 3, 32, 1, key=third)

    def __call__(self, image, figures):
        features = jnp.concatenate([self.image(image.reshape(-1)), self.figures(figures)])
        *logits, value = self.head(features)
        return {"logits": jnp.stack(logits), "value": value}


def class_and_number(model, batch):
    outputs = jax.vmap(model)(batch["image"], batch["figures"])
    crossed = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], batch["kind"])
    squared = (outputs["value"] - batch["size"]) ** 2
    right = outputs["logits"].argmax(-1) == batch["kind"]
    return crossed + squared, {"accuracy": right, "squared_error": squared}


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    image, figures = rng.random((600, 8, 8)), rng.normal(5, 2, (600, 3))
    brighter = image[:, :4].mean((1, 2)) > image[:, 4:].mean((1, 2))
    data = {"image": image, "figures": figures, "kind": brighter.astype(int), "size": figures.sum(1) / 10}
    return tw.Problem(
        TwoInputs,
        tw.examples(data, normalise={"figures": "standardise"}),
        objective=class_and_number,
        metric=tw.Metric("accuracy", None, higher_is_better=True),
    )


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=30)


if __name__ == "__main__":
    print(tw.train(problem(), recipe()).result["test_figures"])
