"""Runs that turn NaN or infinite at a chosen step. `python -m tests.faults.poisoned JOBS` runs jobs.

One row of the data is poisoned: its last column selects what it does to the loss or the gradient. A single
run takes the rows in order, so that the position of the row gives the step; lanes with other seeds take it at
other steps. Each job that is to be killed is a fork that kills itself before or after a checkpoint is on
disk. No backend is started before a fork.
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

# What the poisoned row does, and its last column.
KINDS = {
    "loss NaN": 2,
    "loss inf": 3,
    "gradient NaN": 4,
    "gradient inf": 5,
    "moments NaN": 6,
    "moments inf": 7,
}
HUGE = 1e25  # its square is infinite in float32
BATCH, BATCHES, STEPS = 16, 60, 50
POISONED = 20  # step and batch of the row in a single run, from 0
# Steps at which lanes take the row, with a checkpoint after 20 updates: long before, the last two updates
# before it, the first two after, and never (the run ends before that batch).
PLACES = (9, 18, 19, 20, 21, 55, 56, 57)
HOW = {"it stops": {}, "skipped": {"skip_nonfinite": True}, "loss scaling": {"precision": "f16"}}


class Job(NamedTuple):
    """A run or a sweep to start or to resume.

    Args:
        folder: The run folder.
        kind: What the row does.
        how: How the recipe reacts to it.
        every: Updates between checkpoints; `off` for none.
        lanes: Whether it is a sweep: `PLACES`, once stopping and once skipping.
        kill: `before` or `after`, to kill the process before or after checkpoint `number` is on disk; empty
            for no kill.
        number: Number of that checkpoint, from 1.
    """

    folder: str
    kind: str
    how: str
    every: str = "off"
    lanes: bool = False
    kill: str = ""
    number: int = 1


class Poisoned(eqx.Module):
    """A small network whose last input selects what goes wrong.

    Args:
        mlp: The network.
        idle: A weight that no output depends on, and that NaN gradients can reach.
    """

    mlp: eqx.nn.MLP
    idle: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        logits, what = self.mlp(x[:-1]), x[-1]
        first = jnp.arange(3) == 0
        # The gradient of the root is infinite at zero, and NaN after multiplication by zero.
        under = (
            jnp.where((what == 4) | (what == 5), 0.0, 1.0).astype(logits.dtype)
            + logits[0]
            - jax.lax.stop_gradient(logits[0])
        )
        logits = logits + jnp.where(what == 5, first, True) * jnp.sqrt(under)
        logits = jnp.where(what == 2, jnp.nan, logits)
        # Finite losses: a gradient of NaN for the idle weight, and one whose square overflows for all others.
        still = self.idle - jax.lax.stop_gradient(self.idle)
        nothing = jnp.sqrt(jnp.where(what == 6, 0.0, 1.0) + still) * 0
        logits = logits + jnp.where(what == 6, nothing, 0).astype(logits.dtype)
        steep = jnp.where(what == 7, min(HUGE, float(jnp.finfo(logits.dtype).max)), 0).astype(logits.dtype)
        logits = logits + steep * (logits - jax.lax.stop_gradient(logits))
        return jnp.where((what == 3) & first, -jnp.inf, logits)  # the row's label is the first class


def network(key: jax.Array) -> Poisoned:
    """Make a 6-8-3 network."""
    return Poisoned(eqx.nn.MLP(6, 3, 8, 1, key=key), jnp.ones(()))


def data(kind: str) -> Data:
    """Return Gaussian blobs, one training row of which is poisoned."""
    rng = np.random.default_rng(0)
    splits = []
    for count in (BATCH * BATCHES, 64, 64):
        labels = rng.integers(0, 3, count).astype(np.int32)
        inputs = np.ones((count, 7), np.float32)
        inputs[:, :-1] = labels[:, None] + rng.normal(0, 1, (count, 6))
        splits.append(Rows(inputs, labels))
    row = POISONED * BATCH
    splits[0].inputs[row, -1], splits[0].targets[row] = KINDS[kind], 0
    preparation = Preparation(
        columns=ArrayInputs.fit(splits[0].inputs, standardise=False), classes=tuple(range(3))
    )
    return Data("poisoned", "classification", *splits, preparation=preparation, fingerprint=kind)


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


def run_job(job: Job) -> None:
    """Start or resume a job."""
    problem = Problem(network, data(job.kind))
    if job.kill:
        _kill_at_checkpoint(job.kill, job.number)
    if is_resumable(job.folder):
        resume(job.folder, problem)
        return
    lane_recipes = recipes(job)
    keep = SaveOptions(job.folder, every=job.every)
    if job.lanes:
        train(problem, lane_recipes, keep=keep, strict=True)
    else:
        train(problem, lane_recipes[0], keep=keep)


def _kill_at_checkpoint(when: str, number: int) -> None:
    """Let the process kill itself before or after this checkpoint."""
    commit, numbers = Store.commit, itertools.count(1)

    def killing_commit(self: Store, *args: Any, **options: Any) -> Path:
        last = next(numbers) >= number
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        path = commit(self, *args, **options)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    Store.commit = killing_commit


def forked(jobs: list[Job]) -> int:
    """Run jobs one after another in a process of their own; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        for job in jobs:
            run_job(job)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(path: str) -> int:
    """Run rounds of jobs: those to be killed in a fork each, the other jobs of a round in one fork."""
    for round_of_jobs in json.loads(Path(path).read_text()):
        jobs = [Job(*job) for job in round_of_jobs]
        for job in (job for job in jobs if job.kill):
            if (code := forked([job])) != -signal.SIGKILL:
                print(f"{job} was not killed: {code}", file=sys.stderr)
                return 1
        if (others := [job for job in jobs if not job.kill]) and forked(others) != 0:
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
