"""Whether a case counts, and whether a repair repairs it: by five fresh seeds of the programs themselves."""

from functools import cached_property
from typing import Any

import numpy as np

import thalweg as tw
from benchmarks.doctor.faults import Case
from thalweg.insight.doctor.anatomy import opened, passed
from thalweg.problem.models.adapter import PartitionedModel, build_as_trained

FRESH = (101, 102, 103, 104, 105)
# Share of the distance between the planted and the healthy program that a repair has to recover.
RECOVERED = 0.7
# How far the worst seed of a healthy program may lie below the worst one of the task's own recipe.
WORST = 0.1
# Causes by which a metric looks better than it is, and distance to the healthy program that is close enough.
FLATTERING, NEAR = {"data_leakage"}, 0.05
# Distance of means, beyond noise, from which on programs differ.
APART = 0.05


class Yardstick:
    """Scores of a case's program and of the task's own one, five seeds each."""

    def __init__(self, case: Case):
        self._case = case

    @cached_property
    def _own(self) -> tuple[list[float], int]:
        return scores(*self._case.setup.program())

    @cached_property
    def _well(self) -> list[float]:
        return scores(*self._case.healthy.program())[0]

    @property
    def _noise(self) -> float:
        return 2 * (np.std(self._well) + np.std(self._own[0])) / len(FRESH) ** 0.5

    @property
    def _flatters(self) -> bool:
        return bool(set(self._case.causes) & FLATTERING)

    @cached_property
    def separates(self) -> bool:
        """Whether the seeds tell the program from the task's own one."""
        (own, diverged), well = self._own, self._well
        if self._flatters:  # the metric looks better than it is: a repair brings it down
            return bool(np.mean(own) > np.mean(well) + self._noise)
        differs = bool(not np.mean(well) - np.mean(own) <= self._noise + APART)
        if not self._case.causes:  # one seed that fails among five makes the noise large
            differs |= bool(diverged or not min(own) >= min(well) - WORST)
        return differs

    def repaired(self, problem: tw.Problem, recipe: tw.Recipe, judge: Any = None) -> bool:
        """Return whether a program repairs the case.

        Args:
            problem, recipe: The program.
            judge: The opened problem by which it is scored; None for its own.
        """
        (own, _), well = self._own, self._well
        if self._flatters:
            return bool(abs(np.mean(scores(problem, recipe)[0]) - np.mean(well)) < self._noise + NEAR)
        found, _ = scores(problem, recipe, judge)
        return bool(np.mean(found) > np.mean(own) + RECOVERED * (np.mean(well) - np.mean(own)))


def scores(
    problem: tw.Problem, recipe: tw.Recipe, judge: Any = None, seeds: tuple[int, ...] = FRESH
) -> tuple[list[float], int]:
    """Return the metric of each seed, on validation rows, and how many of them diverge.

    Args:
        problem, recipe: What is trained.
        judge: The opened problem by which it is scored; None for its own.
        seeds: The seeds.
    """
    anatomy = judge or opened(problem, recipe)
    rows = anatomy.held or anatomy.train
    values, runs = [], tw.train(problem, recipe.vary(seed=seeds), progress=False)
    for trained in runs:
        fixed = build_as_trained(problem.model, trained.recipe.seed).fixed
        module = PartitionedModel(trained.params, trained.model_state, fixed)
        values.append(anatomy.scored(passed(anatomy.problem, module, rows), rows))
    return values, sum(trained.result["stopped"] == "diverged" for trained in runs)
