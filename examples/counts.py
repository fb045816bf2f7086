"""Counts: a Poisson regression, whose predictions are expected values in the unit of the counts."""

import numpy as np

import thalweg as tw


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 3))
    visits = rng.poisson(np.exp(1 + 0.6 * x[:, 0] - 0.3 * x[:, 1] ** 2)).astype(float)
    data = tw.load((x, visits), task="regression")
    return tw.Problem(tw.MLP([3, 32, 1]), data, loss="poisson", metric=["poisson_deviance", "mae"])


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=20)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print(run.result["test_metric"], run.result["test_metrics"])
