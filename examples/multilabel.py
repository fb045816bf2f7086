"""Several labels that do not exclude each other: which of three features a row has."""

import numpy as np

import thalweg as tw


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 6)).astype(np.float32)
    labels = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0, np.abs(x[:, 3]) > 0.7], axis=1)
    return tw.Problem(tw.MLP([6, 32, 3]), (x, labels.astype(int)))


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=30)


if __name__ == "__main__":
    print(tw.train(problem(), recipe()).result["test_metrics"])
