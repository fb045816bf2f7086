"""A curriculum: easy examples first."""

from collections.abc import Callable

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, logits, rows_of
from thalweg.lab.setups import classifier, noisy_digits, ordered_digits, ordered_noisy_digits
from thalweg.problem.data.data import Data
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Showing easy examples first helps training.",
    source="Bengio et al., Curriculum Learning, 2009; doubts: Wu et al., When Do Curricula Work?, 2021",
    counts="the test loss of easy-first is lower than that of a random order over all seeds",
)
def easy_first(lab: Bench) -> None:
    """Order digits by their margin under a linear model; clean ones once, noisy ones from a growing pool."""
    sorted_rows = _by_margin(lab, classifier())
    _compare(
        lab,
        "sorted, clean labels",
        ordered_digits,
        sorted_rows,
        np.random.default_rng(0).permutation(sorted_rows),
    )
    easy, random = _by_margin(lab, classifier(data=noisy_digits())), np.random.default_rng(1)
    pool = np.linspace(0.3, 1.0, 5 * len(easy)) * len(easy)
    growing = easy[(random.random(len(pool)) * pool).astype(int)]
    whole = easy[random.integers(0, len(easy), len(pool))]
    _compare(lab, "from a growing pool, a third of the labels wrong", ordered_noisy_digits, growing, whole)


def _by_margin(lab: Bench, problem: Problem) -> np.ndarray:
    """Return the training rows from easy to hard: by the margin of their label under a linear model."""
    judge = lab.train(problem, {"linear": Recipe(SGD(lr=0.1), batch_size=32, epochs=10)}, label="judge")
    inputs, labels = rows_of(problem, 2_000)
    scores = logits(end_of(judge.runs("linear")[0]), inputs)
    return np.argsort(scores.mean(axis=1) - scores[np.arange(len(labels)), np.asarray(labels)])


def _compare(
    lab: Bench, when: str, ordered: Callable[..., Data], easy: np.ndarray, mixed: np.ndarray
) -> None:
    recipe = Recipe(SGD(lr=0.1), batch_size=16, epochs=1, shuffle="none")
    orders = {"easy first": easy, "random order": mixed}
    problems = {n: classifier(32, data=ordered(tuple(map(int, rows)))) for n, rows in orders.items()}
    arms = lab.train(problems["easy first"], {n: (p, recipe) for n, p in problems.items()}, label=when)
    gap = arms.gap("easy first", "random order", "test_loss")
    lab.below("test loss minus that of a random order", gap, when=when)
    lab.intervals(f"Test loss, {when}", {n: arms.values(n, "test_loss") for n in arms.names}, "loss")
