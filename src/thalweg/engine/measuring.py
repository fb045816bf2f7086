"""Which layout is faster for a group of lanes: measured once, remembered in the user's cache folder.

The rule of `engine.lanes` is right for clearly tiny and clearly large networks. Between them the answer
depends on the machine, and a long sweep is worth two short trials.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from thalweg.engine import cache
from thalweg.engine.compiling import with_one_compilation
from thalweg.engine.group import prepare, shapes
from thalweg.engine.loop import run_chunk
from thalweg.engine.program import BATCH, MAP, structure
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

FILE = "layouts.json"
TRIAL_LANES, TRIAL_STEPS, TRIALS = 8, 64, 5


def remembered(problem: Problem, recipe: Recipe) -> dict[str, float] | None:
    """Return microseconds a lane-step by layout, as measured on this machine before; None when not known."""
    found = _read().get(_key(problem, recipe))
    return found if isinstance(found, dict) and {MAP, BATCH} <= found.keys() else None


def measured(problem: Problem, recipes: Sequence[Recipe]) -> dict[str, float]:
    """Return microseconds a lane-step by layout: the best of a few short dispatches each. Remembered."""
    some = list(recipes[:TRIAL_LANES])
    found = {layout: _trial(problem, some, layout) for layout in (MAP, BATCH)}
    _remember(_key(problem, recipes[0]), found)
    return found


def _trial(problem: Problem, recipes: list[Recipe], layout: str) -> float:
    group, states = prepare(problem, recipes, layout=layout)
    steps = min(TRIAL_STEPS, group.total, group.program.capacity)
    part, batches = group.feed.dispatch(group.parts, 0, steps, group.program.capacity)
    best = float("inf")
    for _ in range(1 + TRIALS):  # the first one compiles, and is slower than any other
        begun = time.perf_counter()
        found = with_one_compilation(
            run_chunk, group.program, group.inputs, part, batches, jnp.int32(steps), states
        )
        jax.block_until_ready(found)
        best = min(best, time.perf_counter() - begun)
    return 1e6 * best / (steps * len(recipes))


def _key(problem: Problem, recipe: Recipe) -> str:
    """Name what the answer depends on: the machine, the versions, the model's shapes and the program."""
    params = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(shapes(problem).params)]
    batch = recipe.batch(problem.data.train.count())
    machine = (platform.machine(), _processor(), os.cpu_count(), jax.default_backend(), jax.__version__)
    told = repr((machine, params, batch, str(structure(recipe)), problem.loss.name))
    return hashlib.sha256(told.encode()).hexdigest()[:24]


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
