"""Thalweg's compiled loop with and without XLA's fusions of small reductions, in turn in one process."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.contestants import gpt_engine
from benchmarks.contestants.lanes import recipes
from benchmarks.contestants.task import problem, recipe
from thalweg.core.compiler import CPU_OPTIONS
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.plan import plan


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `pairs` pairs of dispatches of `steps` steps on one core.

    Its result has the processor time of each dispatch, in seconds a step, `off` and `on`. Which of the two
    comes first alternates.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before XLA counts the cores
    programs = _programs(setting)

    def block() -> dict[str, Any]:
        seconds: dict[str, list[float]] = {label: [] for label in programs}
        for number in range(setting["pairs"]):
            for label in sorted(programs, reverse=number % 2 == 1):
                begun = time.process_time()
                jax.block_until_ready(programs[label]())
                seconds[label].append((time.process_time() - begun) / setting["steps"])
        return seconds

    return block


def _programs(setting: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return both compilations of one dispatch."""
    if "context" in setting:
        task, lanes = gpt_engine.work(setting)
    else:
        task = problem(setting)
        lanes = recipes(setting) if "lanes" in setting else [recipe(setting)]
    group, states = init_group(task, lanes, layout=plan(task, lanes).shards[0].layout)
    split, batches = group.feed.dispatch(group.splits, 0, setting["steps"], group.program.capacity)
    arguments = (group.inputs, split, batches, np.int32(setting["steps"]), states)
    loop = run_chunk.__wrapped__  # type: ignore[attr-defined]
    compiled = {
        label: jax.jit(loop, static_argnames="program", compiler_options=options)
        .lower(group.program, *arguments)
        .compile()
        for label, options in (("off", CPU_OPTIONS), ("on", {}))
    }
    return {label: partial(program, *arguments) for label, program in compiled.items()}
