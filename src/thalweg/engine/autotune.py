"""Which layout is faster for a group of lanes: measured once, remembered in the user's cache folder.

The rule of `engine.lanes` is right for clearly tiny and clearly large networks. Between them the answer
depends on the machine, and a long sweep is worth two short trials.
"""

import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from thalweg.core.tree import count
from thalweg.engine import cache
from thalweg.engine.compiling import with_one_compilation
from thalweg.engine.group import prepare
from thalweg.engine.loop import run_chunk
from thalweg.engine.program import BATCH, MAP, structure
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

FILE = "layouts.json"
TRIAL_LANES, TRIAL_STEPS, TRIALS = 16, 64, 5
# A trial makes fewer steps where one takes long: at most so many rows times parameters, about 50 ms.
TRIAL_WORK, FEWEST_STEPS = 8e8, 8
# Counts how trials and layouts are made; what another way of it remembered is not read.
FORM = 4


def remembered(problem: Problem, recipes: Sequence[Recipe], workers: int) -> dict[str, float] | None:
    """Return microseconds a lane-step by layout, as measured on this machine before; None when not known."""
    found = _read().get(_key(problem, recipes, workers))
    return found if isinstance(found, dict) and {MAP, BATCH} <= found.keys() else None


def measured(problem: Problem, recipes: Sequence[Recipe], workers: int) -> dict[str, float]:
    """Return microseconds a lane-step by layout: the best of a few short dispatches each. Remembered.

    Args:
        problem: What is learned.
        recipes: Lanes that would be dispatched together; so many are tried at once on every worker.
        workers: Threads.
    """
    lanes = _calmest(recipes[:TRIAL_LANES])
    found = {layout: _trial(problem, lanes, layout, workers) for layout in (MAP, BATCH)}
    _remember(_key(problem, recipes, workers), found)
    return found


def _calmest(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return as many lanes, each with its own seed and the lowest of the rates: lanes that diverge within a
    trial cost nothing where they are mapped, and would speak for that layout.
    """
    calmest = min(recipes, key=lambda recipe: float(recipe.optimizer.first_rate()))
    return [dataclasses.replace(calmest, seed=recipe.seed) for recipe in recipes]


def _trial(problem: Problem, recipes: list[Recipe], layout: str, workers: int) -> float:
    group, states = prepare(problem, recipes, layout=layout)
    work = group.program.batch_size * count(states.params)  # of all lanes: they are stacked
    steps = int(np.clip(TRIAL_WORK / work, FEWEST_STEPS, TRIAL_STEPS))
    steps = min(steps, group.total, group.program.capacity)
    part, batches = group.feed.dispatch(group.splits, 0, steps, group.program.capacity)

    def dispatch(_: int) -> None:
        found = with_one_compilation(
            run_chunk, group.program, group.inputs, part, batches, np.int32(steps), states
        )
        jax.block_until_ready(found)

    best = float("inf")
    with ThreadPoolExecutor(workers) as threads:
        for _ in range(1 + TRIALS):  # the first one compiles, and is slower than any other
            begun = time.perf_counter()
            list(threads.map(dispatch, range(workers)))
            best = min(best, time.perf_counter() - begun)
    return 1e6 * best / (steps * len(recipes) * workers)


def _key(problem: Problem, recipes: Sequence[Recipe], workers: int) -> str:
    """Name what the answer depends on: the machine, the versions, the model's shapes and the program."""
    first, lanes = recipes[0], min(len(recipes), TRIAL_LANES)
    params = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(problem.shapes.params)]
    batch = first.batch(problem.data.train.count())
    machine = (platform.machine(), _processor(), os.cpu_count(), jax.default_backend(), jax.__version__)
    paired = len({recipe.seed for recipe in recipes[:lanes]}) == 1
    told = (FORM, machine, workers, lanes, paired, params, batch, str(structure(first)), problem.loss.name)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:24]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line for line in text.splitlines() if line.startswith("model name")), "")


def _read() -> dict[str, Any]:
    folder = cache.folder()
    try:
        found = {} if folder is None else json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a memory that is lost or damaged is made again
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, found: dict[str, float]) -> None:
    folder = cache.folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(_read() | {key: found}), encoding="utf-8")
        temporary.replace(folder / FILE)
    except OSError:
        return  # it can be measured again
