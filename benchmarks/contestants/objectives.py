"""Thalweg's compiled loop with a plain loss and with the same loss as an objective, in one process."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.contestants.task import problem, recipe
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.problem.problem import Problem


def rows(model: Any, batch: Any) -> Any:
    """Return the cross-entropy of every row."""
    inputs, classes = batch
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(inputs), classes)


def number(model: Any, batch: Any) -> Any:
    """Return the mean cross-entropy."""
    return rows(model, batch).mean()


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `pairs` rounds of dispatches of `steps` steps on one core.

    Its result has the processor time of each dispatch, in seconds a step, by form. The order of the forms
    changes from round to round.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before XLA counts the cores
    plain = problem(setting)
    forms = {
        "plain": plain,
        "a loss for each row": Problem(plain.model, plain.data, objective=rows),
        "one number": Problem(plain.model, plain.data, objective=number),
    }
    programs = {label: _dispatch(task, setting) for label, task in forms.items()}
    labels = list(programs)

    def block() -> dict[str, Any]:
        seconds: dict[str, list[float]] = {label: [] for label in programs}
        for turn in range(setting["pairs"]):
            for label in [*labels[turn % 3 :], *labels[: turn % 3]]:
                begun = time.process_time()
                jax.block_until_ready(programs[label]())
                seconds[label].append((time.process_time() - begun) / setting["steps"])
        return seconds

    return block


def _dispatch(task: Problem, setting: dict[str, Any]) -> Callable[[], Any]:
    """Return a function that makes one dispatch, compiled."""
    group, states = init_group(task, [recipe(setting)])
    split, batches = group.feed.dispatch(group.splits, 0, setting["steps"], group.program.capacity)
    arguments = (group.program, group.inputs, split, batches, np.int32(setting["steps"]), states)
    jax.block_until_ready(run_chunk(*arguments))
    return partial(run_chunk, *arguments)
