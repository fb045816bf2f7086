"""Tools that repair by retraining, within ten trainings: AutoTrainer, searches over settings, scaled inputs.

Each gets the program as a `Setup`, with the names of its parts, which the doctor does not get.

- AutoTrainer (source: `rules`): the remedies of a problem in its order ("balance"), each tried from the
  program as it was, until none of its problems is left. Layer norm stands for its batch norm. Its rate that
  falls on plateaus and its noise on inputs are left out. As published it keeps what solved its problem; where
  nothing did, the best training is kept.
- Random search and Optuna (TPE: the user's own settings, four random trials, then its own): optimizer, rate,
  batch size, activation, width, normalisation, dropout, scaled inputs. The best on validation rows is
  kept.
- Scaled inputs: each column gets mean 0 and standard deviation 1, whatever is wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw
from benchmarks.doctor.programs import Setup
from benchmarks.doctor.rules import issue
from benchmarks.doctor.trace import Trace, traced
from benchmarks.doctor.yardstick import scores
from thalweg.core.errors import ThalwegError

BUDGET, RANDOM_TRIALS = 10, 4
# What Optuna is told of a training that is worse or not finite, as R^2 has no lower end.
LOWEST = -10.0
Repaired = tuple[Setup | None, int]

# Factors that turn Equinox's uniform initial weights (variance 1/3n for n inputs) into others.
LECUN, HE = 3.0**0.5, 6.0**0.5
RATES = {tw.SGD: 0.01, tw.Adam: 1e-3, tw.NAdam: 2e-3, tw.Adamax: 2e-3, tw.RMSprop: 1e-3}  # Keras' defaults


def scaled(setup: Setup) -> Setup:
    """Return the program with standardised input columns; whole numbers (words) stay."""
    if not np.issubdtype(setup.x.dtype, np.floating):
        return setup
    mean, deviation = setup.x.mean(axis=0), setup.x.std(axis=0)
    x = (setup.x - mean) / np.where(deviation > 0, deviation, 1.0)
    return setup.changed(x=x.astype(np.float32))


def scaled_inputs(setup: Setup, seed: int) -> Repaired:
    """Scale the inputs."""
    return scaled(setup), 1


def autotrainer(setup: Setup, seed: int) -> Repaired:
    """Detect a problem and try its remedies."""
    random = np.random.default_rng(seed)
    first = _watched(setup)
    spent, best = 1, (_score(first), setup)
    found = None if first is None else issue(first)
    if found is None:
        return None, spent
    for remedy in _remedies(found[0], random):
        if spent == BUDGET:
            break
        changed = remedy(setup)
        trace = _watched(changed)
        spent += 1
        best = max(best, (_score(trace), changed), key=lambda each: each[0])
        if trace is not None and issue(trace) is None:
            return changed, spent
    return best[1], spent


def random_search(setup: Setup, seed: int) -> Repaired:
    """Try settings drawn at random."""
    random = np.random.default_rng(seed)
    tried = [_drawn(setup, _Random(random)) for _ in range(BUDGET)]
    return max(tried, key=_trained), BUDGET


def optuna_search(setup: Setup, seed: int) -> Repaired:
    """Try settings that Optuna suggests."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    tried, found = [setup], [_trained(setup)]
    for _ in range(BUDGET - 1):
        trial = study.ask()
        tried.append(_drawn(setup, trial))
        found.append(_trained(tried[-1]))
        study.tell(trial, max(found[-1], LOWEST))
    return tried[int(np.argmax(found))], BUDGET


# By name: the program and a seed -> the repaired program (None: nothing to repair), and trainings spent.
REPAIRS: dict[str, Callable[[Setup, int], Repaired]] = {
    "AutoTrainer": autotrainer,
    "random search": random_search,
    "Optuna": optuna_search,
    "scaled inputs": scaled_inputs,
}


class _Random:
    """Optuna's way of asking, answered at random."""

    def __init__(self, random: np.random.Generator):
        self._random = random

    def suggest_categorical(self, name: str, choices: list) -> Any:
        """Return one of the choices."""
        return choices[int(self._random.integers(len(choices)))]

    def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
        """Return a number between two."""
        if log:
            return float(np.exp(self._random.uniform(np.log(low), np.log(high))))
        return float(self._random.uniform(low, high))


ACTIVATIONS = {"as it is": None, "relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": jax.nn.gelu}
OPTIMIZERS = {"sgd": tw.SGD, "adam": tw.Adam, "rmsprop": tw.RMSprop}


def _drawn(setup: Setup, trial: Any) -> Setup:
    optimizer = OPTIMIZERS[trial.suggest_categorical("optimizer", sorted(OPTIMIZERS))]
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    size = trial.suggest_categorical("batch_size", [16, 32, 64, 128])
    wider = trial.suggest_categorical("width", [1, 2, 4])
    activation = ACTIVATIONS[trial.suggest_categorical("activation", sorted(ACTIVATIONS))]
    changes = {
        "recipe": replace(setup.recipe, optimizer=optimizer(lr=rate), batch_size=size),
        "sizes": (setup.sizes[0], *[wider * width for width in setup.sizes[1:-1]], setup.sizes[-1]),
        "norm": trial.suggest_categorical("norm", [False, True]),
        "dropout": trial.suggest_categorical("dropout", [0.0, 0.2]),
    }
    if activation is not None:
        changes["act"] = activation
    setup = scaled(setup) if trial.suggest_categorical("scaled", [False, True]) else setup
    return setup.changed(**changes)


def _remedies(name: str, random: np.random.Generator) -> Iterator[Callable[[Setup], Setup]]:
    """Yield AutoTrainer's remedies for a problem, in order."""
    selu = _with(act=jax.nn.selu, gain=LECUN, bias=0.0)
    relu = _with(act=jax.nn.relu, gain=HE, bias=0.0)
    tanh = _with(act=jnp.tanh, gain=HE, bias=0.0)
    norm = _with(norm=True)
    if name == "vanish":
        yield from (selu, relu, norm)
    elif name == "explode":
        yield from (selu, relu, *(_clipped(random.uniform(9, 10)) for _ in range(2)), tanh, norm)
    elif name == "relu":
        yield from (selu, norm)
        yield from (_with(gain=gain, bias=0.0) for gain in random.permutation([HE, LECUN, 1.0]))
        yield from (_with(act=act) for act in (jax.nn.leaky_relu, jax.nn.elu, _thresholded))
    elif name == "unstable":
        yield _optimized(tw.Adam(lr=RATES[tw.Adam]))
        yield from (_rate(0.1**power) for power in (1, 2, 3))
        yield from (_batch(2**power) for power in (1, 2, 3))
        yield from (_optimized(tw.SGD(lr=0.01, momentum=random.uniform(0.01, 0.9))) for _ in range(3))
    else:
        for kind in random.permutation(np.array(list(RATES), dtype=object))[:3]:
            yield _optimized(kind(lr=RATES[kind]))
        yield from (_rate(10.0**power) for power in (1, 2, 3))


def _with(**changes: Any) -> Callable[[Setup], Setup]:
    return lambda setup: setup.changed(**changes)


def _thresholded(z: Any) -> Any:
    return jnp.where(z > 1, z, 0.0)


def _optimized(optimizer: Any) -> Callable[[Setup], Setup]:
    return lambda setup: setup.changed(recipe=replace(setup.recipe, optimizer=optimizer))


def _rate(factor: float) -> Callable[[Setup], Setup]:
    def remedy(setup: Setup) -> Setup:
        optimizer = setup.recipe.optimizer
        return _optimized(replace(optimizer, lr=float(optimizer.lr) * factor))(setup)

    return remedy


def _batch(factor: int) -> Callable[[Setup], Setup]:
    def remedy(setup: Setup) -> Setup:
        size = setup.recipe.batch_size
        larger = size if size == "full" else size * factor
        return setup.changed(recipe=replace(setup.recipe, batch_size=larger))

    return remedy


def _clipped(value: float) -> Callable[[Setup], Setup]:
    return lambda setup: setup.changed(recipe=replace(setup.recipe, clip_value=value))


def _watched(setup: Setup) -> Trace | None:
    """Return the trace of a training; None where the program is refused."""
    try:
        return traced(setup)
    except ThalwegError:
        return None


def _trained(setup: Setup) -> float:
    """Return the metric of one training."""
    try:
        found = scores(*setup.program(), seeds=(0,))[0][0]
    except ThalwegError:
        return -np.inf
    return found if np.isfinite(found) else -np.inf


def _score(trace: Trace | None) -> float:
    return trace.score if trace is not None and np.isfinite(trace.score) else -np.inf
