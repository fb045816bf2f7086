"""Classes in an order: a cumulative link model, and weights under which all classes count the same."""

import numpy as np

import thalweg as tw


def problem() -> tw.Problem:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 3))
    score = x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.logistic(0, 0.3, 1500)
    grade = np.array(["low", "medium", "high"])[np.digitize(score, [0.0, 1.5])]
    return tw.Problem(
        tw.MLP([3, 32, 2]),
        (x, grade),
        loss="ordinal:low,medium,high",
        metric=["macro_f1", "roc_auc", "log_loss"],
        class_weight="balanced",
    )


def recipe() -> tw.Recipe:
    return tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=20)


if __name__ == "__main__":
    run = tw.train(problem(), recipe())
    print(run.result["test_metric"], run.result["test_metrics"])
