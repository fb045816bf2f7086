"""Runs that turn NaN or infinite at a chosen step: `python -m tests.faults.poisoned JOBS` carries jobs out.

One row of the data is poisoned; what it does to the loss or the gradient stands in its last column. A single
run takes the rows as they lie, so that the row's place is the step; lanes of other seeds meet it at others.
Each job that is to be killed is a fork that kills itself when a checkpoint is, or is not yet, on the disk; no
backend is started before a fork.
"""

import itertools
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from thalweg.core import keys
from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.checkpoint.store import Store
from thalweg.run.resume import is_resumable, resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

# What the poisoned row does; the numbers are its last column.
KINDS = {"loss NaN": 2, "loss inf": 3, "gradient NaN": 4, "gradient inf": 5}
BATCH, BATCHES, STEPS = 16, 60, 50
POISONED = 20  # the step, and the batch, from 0, of a single run
# Where lanes meet the row when a checkpoint comes after 20 updates: well before, the last two updates before
# it, the first two after, and not at all (the run ends before that batch).
PLACES = (9, 18, 19, 20, 21, 55, 56, 57)
HOW = {"it stops": {}, "skipped": {"skip_nonfinite": True}, "loss scaling": {"precision": "f16"}}


class Job(NamedTuple):
    """A run or a sweep to start or to go on with.

    Args:
        folder: Where.
        kind: What the row does.
        how: What the recipe does about it.
        every: When checkpoints are due, in updates; `off` for none.
        lanes: Whether it is a sweep: `PLACES`, once stopping and once skipping.
        kill: Whether it is killed, and when: `before` or `after` its checkpoint number `number` is on the
            disk; empty: not.
        number: Of that checkpoint, from 1.
    """

    folder: str
    kind: str
    how: str
    every: str = "off"
    lanes: bool = False
    kill: str = ""
    number: int = 1


class Poisoned(eqx.Module):
    """A small network that reads from the last column what goes wrong."""

    mlp: eqx.nn.MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        found, what = self.mlp(x[:-1]), x[-1]
        first = jnp.arange(3) == 0
        # The root of zero has no gradient: infinite, or NaN where it meets a factor of zero.
        under = (
            jnp.where(what >= 4, 0.0, 1.0).astype(found.dtype) + found[0] - jax.lax.stop_gradient(found[0])
        )
        found = found + jnp.where(what == 5, first, True) * jnp.sqrt(under)
        found = jnp.where(what == 2, jnp.nan, found)
        return jnp.where((what == 3) & first, -jnp.inf, found)  # the row's label is the first class


def made(key: jax.Array) -> Poisoned:
    """Make a 6-8-3 network."""
    return Poisoned(eqx.nn.MLP(6, 3, 8, 1, key=key))


def data(kind: str) -> Data:
    """Return Gaussian blobs, one training row of which is poisoned."""
    rng = np.random.default_rng(0)
    parts = []
    for count in (BATCH * BATCHES, 64, 64):
        labels = rng.integers(0, 3, count).astype(np.int32)
        inputs = np.ones((count, 7), np.float32)
        inputs[:, :-1] = labels[:, None] + rng.normal(0, 1, (count, 6))
        parts.append(Rows(inputs, labels))
    row = POISONED * BATCH
    parts[0].inputs[row, -1], parts[0].targets[row] = KINDS[kind], 0
    ready = Preparation(columns=ArrayInputs.fit(parts[0].inputs, standardise=False), classes=tuple(range(3)))
    return Data("poisoned", "classification", *parts, preparation=ready, fingerprint=kind)


def recipes(job: Job) -> list[Recipe]:
    """Return the recipe of a single run, or those of a sweep."""
    shared = {"batch_size": BATCH, "steps": STEPS}
    if not job.lanes:
        return [Recipe(AdamW(lr=0.01), shuffle="none", **shared, **HOW[job.how])]
    seeds = [_seed(place) for place in PLACES]
    hows = (HOW["it stops"], HOW["skipped"])
    return [Recipe(AdamW(lr=0.01), seed=seed, **shared, **how) for how in hows for seed in seeds]


def _seed(place: int) -> int:
    """Return the first seed under which the poisoned row falls into this batch."""
    row, seed = POISONED * BATCH, 0
    while int(np.flatnonzero(keys.order(seed, 0, BATCH * BATCHES) == row)[0]) // BATCH != place:
        seed += 1
    return seed


def carry_out(job: Job) -> None:
    """Start a job or go on with it."""
    problem = Problem(made, data(job.kind))
    if job.kill:
        _deadly(job.kill, job.number)
    if is_resumable(job.folder):
        resume(job.folder, problem)
        return
    given = recipes(job)
    keep = SaveOptions(job.folder, every=job.every)
    if job.lanes:
        train(problem, given, keep=keep, strict=True)
    else:
        train(problem, given[0], keep=keep)


def _deadly(when: str, number: int) -> None:
    """Have the process kill itself around this checkpoint."""
    commit, begun = Store.commit, itertools.count(1)

    def killing(self: Store, *given: Any, **more: Any) -> Path:
        last = next(begun) >= number
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        path = commit(self, *given, **more)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    Store.commit = killing


def forked(jobs: list[Job]) -> int:
    """Carry jobs out one after another in a process of their own; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        for job in jobs:
            carry_out(job)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(path: str) -> int:
    """Carry out rounds of jobs: those to be killed in a fork each, the others of a round in one."""
    for told in json.loads(Path(path).read_text()):
        jobs = [Job(*one) for one in told]
        for job in (job for job in jobs if job.kill):
            if (code := forked([job])) != -signal.SIGKILL:
                print(f"{job} was not killed: {code}", file=sys.stderr)
                return 1
        if (calm := [job for job in jobs if not job.kill]) and forked(calm) != 0:
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
