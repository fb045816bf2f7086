"""Faults by the word of their cause: each changes a healthy setup. Also pairs of faults."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw
from benchmarks.doctor import programs
from benchmarks.doctor.programs import BINARY, CLASSES, VALUES, Setup, identity, tasks
from benchmarks.doctor.structured import structured_tasks

Fault = Callable[[Setup], Setup]
# Cases whose hash falls into this share are set aside: they were not looked at while thresholds were chosen.
SET_ASIDE = 1 / 3


def _rate(optimizer: Any, **more: Any) -> Fault:
    return lambda setup: setup.changed(recipe=tw.Recipe(optimizer, batch_size=32, epochs=30, **more))


def _deep(setup: Setup, depth: int = 10) -> tuple[int, ...]:
    return (setup.sizes[0], *[24] * depth, setup.sizes[-1])


def _shuffled_labels(setup: Setup) -> Setup:
    return setup.changed(y=np.random.default_rng(3).permutation(setup.y))


def _sorted(setup: Setup) -> Setup:
    order = np.argsort(setup.y, kind="stable")
    recipe = tw.Recipe(tw.SGD(lr=0.1), batch_size=16, epochs=5, shuffle="none")
    return setup.changed(x=setup.x[order], y=setup.y[order], recipe=recipe)


def _with_target(setup: Setup) -> Setup:
    return setup.changed(
        x=np.concatenate([setup.x, setup.y[:, None]], axis=1), sizes=(setup.sizes[0] + 1, *setup.sizes[1:])
    )


def _one_output(setup: Setup) -> Setup:
    return setup.changed(
        y=setup.y.astype(np.float32),
        sizes=(*setup.sizes[:-1], 1),
        out=jax.nn.sigmoid,
        loss=programs.log_loss,
    )


def _rounded(setup: Setup) -> Setup:
    return setup.changed(loss=lambda p, y: jnp.mean((jnp.round(p.reshape(len(y))) - y) ** 2))


# By cause: the kinds of task, and what is changed. Of a cause, a word after a colon tells variants apart.
FAULTS: dict[str, tuple[tuple[str, ...], Fault]] = {
    "inputs_unscaled": ((BINARY, CLASSES, VALUES), lambda s: s.changed(x=(s.x * 250).astype(np.float32))),
    "targets_unscaled": ((VALUES,), lambda s: s.changed(y=(s.y * 1e5 + 3e5).astype(np.float32))),
    "labels_corrupted": ((BINARY, CLASSES), _shuffled_labels),
    "label_encoding_wrong": ((BINARY,), lambda s: s.changed(y=s.y + 1)),
    "data_leakage": ((VALUES,), _with_target),
    "data_unshuffled": ((CLASSES,), _sorted),
    "head_activation_wrong": ((VALUES,), lambda s: s.changed(out=jax.nn.relu)),
    "head_activation_missing": ((BINARY,), lambda s: s.changed(out=identity)),
    "head_softmax_single": ((BINARY, VALUES), lambda s: s.changed(out=jax.nn.softmax)),
    "head_double_activation": (
        (CLASSES,),
        lambda s: s.changed(
            out=lambda z: jax.nn.softmax(jax.nn.softmax(z)),
            recipe=tw.Recipe(tw.SGD(lr=0.05), batch_size=32, epochs=10),
        ),
    ),
    "head_activation_wrong:no slope": (
        (VALUES,),
        lambda s: s.changed(out=lambda z: jnp.round(z)),
    ),
    "head_units_wrong": ((CLASSES,), _one_output),
    "hidden_activation_wrong:no slope": (
        (VALUES,),
        lambda s: s.changed(sizes=(s.sizes[0], 3, 1), act=lambda z: jnp.sign(z)),
    ),
    "loss_mismatch:no slope": ((BINARY,), _rounded),
    "loss_mismatch": ((VALUES,), lambda s: s.changed(loss=programs.binary_logit_loss)),
    "hidden_linear": ((BINARY,), lambda s: s.changed(act=identity)),
    "hidden_activation_wrong": (
        (BINARY, CLASSES),
        lambda s: s.changed(act=jax.nn.softmax, recipe=tw.Recipe(tw.SGD(lr=0.05), batch_size=32, epochs=30)),
    ),
    "relu_dying": ((BINARY, CLASSES), lambda s: s.changed(act=jax.nn.relu, bias=-6.0)),
    "capacity_low": ((BINARY,), lambda s: s.changed(sizes=(s.sizes[0], 1, 1))),
    "depth_unnormalised": (
        (BINARY, CLASSES),
        lambda s: s.changed(
            sizes=_deep(s),
            act=jnp.tanh,
            gain=0.4,
            recipe=tw.Recipe(tw.SGD(lr=0.05), batch_size=32, epochs=30),
        ),
    ),
    "dropout_high": ((CLASSES, VALUES), lambda s: s.changed(dropout=0.95)),
    "init_symmetric": ((BINARY, CLASSES), lambda s: s.changed(gain=0.0)),
    "init_large": ((CLASSES, VALUES), lambda s: s.changed(gain=60.0, act=jnp.tanh)),
    "init_small": (
        (BINARY, VALUES),
        lambda s: s.changed(gain=1e-4, recipe=tw.Recipe(tw.SGD(lr=0.05), batch_size=32, epochs=20)),
    ),
    "lr_high": ((BINARY, CLASSES, VALUES), _rate(tw.Adam(lr=3.0))),
    "lr_low": ((BINARY, CLASSES, VALUES), _rate(tw.Adam(lr=1e-6))),
    "lr_sign": ((BINARY, CLASSES, VALUES), lambda s: s.changed(loss=lambda z, y, f=s.loss: -f(z, y))),
    "optimizer_unsuitable": ((BINARY, VALUES), _rate(tw.Adadelta(lr=1e-3))),
    "batch_large": (
        (BINARY, CLASSES),
        lambda s: s.changed(recipe=tw.Recipe(tw.SGD(lr=0.05), batch_size="full", epochs=30)),
    ),
    "epochs_few": (
        (CLASSES, VALUES),
        lambda s: s.changed(recipe=tw.Recipe(tw.SGD(lr=0.01), batch_size=64, epochs=2)),
    ),
    "decay_strong": ((CLASSES, VALUES), _rate(tw.AdamW(lr=5e-3, weight_decay=100.0))),
}
# Causes that are planted together with a short recipe of SGD, in which small networks of affine layers learn
# and others do not: on images, sequences and text the task's own recipe stays.
OWN_RECIPE = ("head_double_activation", "hidden_activation_wrong", "init_small")
# Pairs of causes that occur together.
PAIRS = (
    ("inputs_unscaled", "lr_low"),
    ("hidden_linear", "lr_low"),
    ("head_softmax_single", "inputs_unscaled"),
    ("targets_unscaled", "inputs_unscaled"),
    ("init_symmetric", "inputs_unscaled"),
)


class Case:
    """A program of the corpus.

    Args:
        name: Its name: task, causes, variant.
        causes: What was planted; empty for a healthy one.
        setup: The program.
        healthy: What it is compared with: the same task, nothing planted, the task's own recipe.
    """

    def __init__(self, name: str, causes: tuple[str, ...], setup: Setup, healthy: Setup):
        self.name, self.causes, self.setup, self.healthy = name, causes, setup, healthy

    @property
    def set_aside(self) -> bool:
        """Whether it is set aside, by the hash of its name."""
        return int(sha256(self.name.encode()).hexdigest(), 16) % 1000 < 1000 * SET_ASIDE


def every_task(seed: int) -> dict[str, Setup]:
    """Return the healthy setups by name, on tables and on images, sequences and text."""
    return tasks(seed) | structured_tasks(seed)


def faulty(seeds: tuple[int, ...] = (0, 1, 2)) -> Iterator[Case]:
    """Yield the programs with faults: every cause on every task of its kind, on data of several seeds."""
    for seed in seeds:
        for name, setup in every_task(seed).items():
            for cause, (kinds, fault) in FAULTS.items():
                if setup.kind in kinds and cause not in setup.unfit:
                    planted, program = (cause.split(":")[0],), fault(setup)
                    if setup.stem is not None and cause in OWN_RECIPE:
                        program = program.changed(recipe=setup.recipe)
                    yield Case(f"{name}-{cause}-{seed}", planted, program, setup)
            for pair in PAIRS:
                if all(setup.kind in FAULTS[cause][0] and cause not in setup.unfit for cause in pair):
                    both = FAULTS[pair[1]][1](FAULTS[pair[0]][1](setup))
                    yield Case(f"{name}-{'-'.join(pair)}-{seed}", pair, both, setup)


def healthy(seeds: tuple[int, ...] = tuple(range(8))) -> Iterator[Case]:
    """Yield programs without a fault: every task with usual recipes, networks and activations.

    Some of their seeds may fail all the same, as regressions do with SGD at 0.1: the scoreboard counts those
    that end as well as the task's own recipe.
    """
    recipes = {
        "adam": tw.Recipe(tw.Adam(lr=5e-3), batch_size=32, epochs=30),
        "sgd": tw.Recipe(tw.SGD(lr=0.1, momentum=0.9), batch_size=32, epochs=40),
        "adamw": tw.Recipe(tw.AdamW(lr=3e-3), tw.WarmupCosine(warmup=0.05), batch_size=16, epochs=30),
    }
    changes: dict[str, dict[str, Any]] = {"plain": {}, "norm": {"norm": True}, "dropout": {"dropout": 0.2}}
    for seed in seeds:
        for name, setup in every_task(seed).items():
            for recipe_name, recipe in recipes.items():
                for change, values in changes.items():
                    case = setup.changed(recipe=recipe, **values)
                    yield Case(f"{name}-{recipe_name}-{change}-{seed}", (), case, setup)
