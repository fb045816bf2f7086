"""Which layout is faster for a group of lanes: timed once, and remembered in the user's cache folder.

The rule of `engine.plan` is right for clearly tiny and clearly large networks. Between them it depends on the
machine, and a long sweep is worth two short trials.
"""

import dataclasses
import hashlib
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from thalweg.core.cache import recall, remember
from thalweg.core.device import backend, processor
from thalweg.core.tree import count
from thalweg.engine.compilation import compile_once
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.program import BATCH, MAP, structure
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

FILE = "layouts.json"
TRIAL_LANES, TRIAL_STEPS, TRIALS = 16, 64, 5
# A trial makes fewer steps if a step is slow: at most this many rows times parameters, about 50 ms.
TRIAL_WORK, FEWEST_STEPS = 8e8, 8
# Version of the trials and the layouts; timings of other versions are ignored.
VERSION = 4

# Microseconds per lane and step, by layout.
Timings = dict[str, float]


def read_timings(problem: Problem, recipes: Sequence[Recipe], workers: int) -> Timings | None:
    """Return the timings that were measured on this machine before, or None."""
    timings = recall(FILE, _key(problem, recipes, workers))
    return timings if isinstance(timings, dict) and {MAP, BATCH} <= timings.keys() else None


def measure_timings(problem: Problem, recipes: Sequence[Recipe], workers: int) -> Timings:
    """Time a few short dispatches in each layout; return the best of each, and remember them.

    Args:
        problem: What is learned.
        recipes: Lanes that would be dispatched together; this many run at once on every worker.
        workers: Threads.
    """
    lanes = _stable_lanes(recipes[:TRIAL_LANES])
    timings = {layout: _time_layout(problem, lanes, layout, workers) for layout in (MAP, BATCH)}
    remember(FILE, _key(problem, recipes, workers), timings)
    return timings


def _stable_lanes(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the same number of lanes, each with its own seed, all with the lowest learning rate.

    A lane that diverges within a trial costs nothing if lanes are mapped, which would favour that layout.
    """
    lowest = min(recipes, key=lambda recipe: float(recipe.optimizer.first_rate()))
    return [dataclasses.replace(lowest, seed=recipe.seed) for recipe in recipes]


def _time_layout(problem: Problem, recipes: list[Recipe], layout: str, workers: int) -> float:
    folds = [0] * len(recipes) if isinstance(problem.data, FoldedData) else []
    group, states = init_group(problem, recipes, layout=layout, folds=folds)
    work = group.program.batch_size * count(states.params)  # of all lanes: they are stacked
    steps = int(np.clip(TRIAL_WORK / work, FEWEST_STEPS, TRIAL_STEPS))
    steps = min(steps, group.total, group.program.capacity)
    split, batches = group.feed.dispatch(group.splits, 0, steps, group.program.capacity)

    def dispatch(_: int) -> None:
        arguments = (group.inputs, split, batches, np.int32(steps), states)
        jax.block_until_ready(compile_once(run_chunk, group.program, *arguments))

    best = float("inf")
    with ThreadPoolExecutor(workers) as threads:
        for _ in range(1 + TRIALS):  # the first one compiles, and is slower than any other
            started = time.perf_counter()
            list(threads.map(dispatch, range(workers)))
            best = min(best, time.perf_counter() - started)
    return 1e6 * best / (steps * len(recipes) * workers)


def _key(problem: Problem, recipes: Sequence[Recipe], workers: int) -> str:
    """Hash what the timings depend on: the machine, the versions, the model's shapes and the program."""
    first, lanes = recipes[0], min(len(recipes), TRIAL_LANES)
    params = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(problem.shapes.params)]
    batch = first.batch(problem.data.train.count())
    machine = (platform.machine(), processor(), os.cpu_count(), backend(), jax.__version__)
    paired = len({recipe.seed for recipe in recipes[:lanes]}) == 1
    facts = (
        VERSION,
        machine,
        workers,
        lanes,
        paired,
        params,
        batch,
        str(structure(first)),
        problem.loss.name,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
