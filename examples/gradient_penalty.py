"""A classifier whose output must change little with its input: a penalty on the gradient.

Drucker & LeCun, Improving Generalization Performance Using Double Backpropagation, 1992. The data have
targets, so a batch is (inputs, targets).
"""

import jax
import jax.numpy as jnp
import optax

import thalweg as tw

WEIGHT = 0.05


def penalised(model, batch):
    inputs, classes = batch

    def loss(x, label):
        return optax.softmax_cross_entropy_with_integer_labels(model(x), label)

    losses, slopes = jax.vmap(jax.value_and_grad(loss))(inputs, classes)
    penalty = jnp.sum(slopes.reshape(len(slopes), -1) ** 2, axis=1)
    right = jax.vmap(model)(inputs).argmax(-1) == classes
    return losses + WEIGHT * penalty, {"accuracy": right, "penalty": penalty}


def problem() -> tw.Problem:
    metric = tw.Metric("accuracy", None, higher_is_better=True)
    return tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits"), objective=penalised, metric=metric)


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=64, epochs=20)


if __name__ == "__main__":
    print(tw.train(problem(), recipe()).result["test_figures"])
