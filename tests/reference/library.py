"""What the reference gets from Thalweg: problems, first weights, orders, masks, noise; and how runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.reference import losses
from tests.reference.network import Arrays, Network
from tests.reference.training import Given, Task
from thalweg.core import keys
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import paths
from thalweg.engine.group import initial
from thalweg.problem.data.data import Data, fingerprint
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    Weighted,
    accuracy,
    weighted_metric,
)
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Silent
from thalweg.run.resume import resume
from thalweg.run.run import Runs
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

COUNTS = {"train": 207, "validation": 61, "test": 58}
FEATURES, SEEDS = 5, (0, 1, 2, 3)
SHIFT, SCALE = -0.25, 1.5


@dataclass(frozen=True)
class Case:
    """A problem, once for Thalweg and once for the reference."""

    problem: Problem
    task: Task


def _classes(classes: int, generator: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Return labels of unequal frequency, which a small network learns in part."""
    matrix, bias = generator.normal(size=(FEATURES, classes)), np.linspace(1, -0.5, classes)

    def label(x: np.ndarray) -> np.ndarray:
        noise = generator.gumbel(size=(len(x), classes))
        return (1.5 * np.tanh(x @ matrix) + bias + 0.7 * noise).argmax(axis=1).astype(np.int32)

    return label


def _labels(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0] > 0.8, x[:, 1] > -0.5, x[:, 2] * x[:, 3] > 0, x[:, 4] > 0.1], axis=1)


def _values(x: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2 * x[:, 0]) + x[:, 1], np.abs(x[:, 2]) - x[:, 3] * x[:, 4]], axis=1)


@cache
def case(name: str) -> Case:
    """Return a problem of `design.PROBLEMS`."""
    generator = np.random.default_rng(5)
    inputs = {split: generator.normal(size=(count, FEATURES)) for split, count in COUNTS.items()}
    inputs = {split: x.astype(np.float32) for split, x in inputs.items()}
    build = {
        "classes": partial(
            _classification, generator=generator, classes=4, network=_net(8, 4, "relu", "batch")
        ),
        "smoothed": partial(
            _classification,
            generator=generator,
            classes=3,
            network=replace(_net(6, 3, "tanh", "layer"), widths=(FEATURES, 6, 6, 3), skip=True, dropout=0.0),
            options={"smoothing": 0.1, "weights": (0.5, 1.5, 2.0)},
            metric="perplexity",
        ),
        "two": partial(_single, generator=generator),
        "values": partial(_regression, count=1, network=replace(_net(7, 1, "silu", "batch"), dropout=0.0)),
        "several values": partial(_regression, count=2, network=_wide()),
        "labels": _multilabel,
        "margins": partial(_margins, generator=generator),
        "holes": partial(
            _classification, generator=generator, classes=3, network=_net(6, 3, "elu", "batch"), holes=True
        ),
        "weighted": partial(_weighted, generator=generator),
        "unvalidated": partial(
            _regression, count=1, network=replace(_net(6, 1, "gelu", "batch"), dropout=0.0)
        ),
        "untested": partial(
            _classification, generator=generator, classes=4, network=_net(8, 4, "sigmoid", "none")
        ),
    }[name]
    if name in ("unvalidated", "untested"):
        inputs.pop({"unvalidated": "validation", "untested": "test"}[name])
    return build(name, inputs)


def _net(hidden: int, outputs: int, activation: str, norm: str) -> Network:
    return Network((FEATURES, hidden, outputs), activation, norm, dropout=0.2)


def _wide() -> Network:
    """Return a network with two groups in its group norms."""
    return Network((FEATURES, 32, 32, 2), "leaky_relu", "group", skip=True)


def _case(
    name: str,
    task: Task,
    targets: dict[str, Any],
    inputs: dict[str, np.ndarray],
    loss: Any,
    classes: int = 0,
    scaled: bool = False,
    metric: Any = None,
) -> Case:
    """Return the problem with float32 data, and the task with the same numbers in float64."""
    splits = {split: Rows(x, targets[split]) for split, x in inputs.items()}
    preparation = Preparation(
        columns=ArrayInputs.fit(inputs["train"], standardise=False),
        classes=tuple(range(classes)) if classes else None,
        target_mean=(task.origin,) if task.name == "regression" else 0.0,
        target_scale=(task.unit,) if task.name == "regression" else 1.0,
        **({"input_shift": SHIFT, "input_scale": SCALE} if scaled else {}),
    )
    data = Data(
        name,
        task.name,
        *(splits.get(split) for split in COUNTS),  # type: ignore[arg-type]
        preparation=preparation,
        fingerprint=fingerprint(splits),
    )
    net = task.network
    model = MLP(
        list(net.widths),
        activation=net.activation,
        normalisation=net.norm,
        dropout=net.dropout,
        skip=net.skip,
    )

    def wide(x: np.ndarray) -> np.ndarray:
        return (x.astype(np.float64) + SHIFT) * SCALE if scaled else x.astype(np.float64)

    plain = {split: (wide(x), jax.tree.map(_wide_targets, targets[split])) for split, x in inputs.items()}
    return Case(Problem(model, data, loss, metric, select="loss"), replace(task, splits=plain))


def _wide_targets(y: np.ndarray) -> np.ndarray:
    return y.astype(np.float64) if y.dtype.kind == "f" else y.astype(int)


def _classification(
    name: str,
    inputs: dict[str, np.ndarray],
    generator: np.random.Generator,
    classes: int,
    network: Network,
    options: dict[str, Any] | None = None,
    metric: str = "accuracy",
    holes: bool = False,
) -> Case:
    label, options = _classes(classes, generator), options or {}
    targets = {split: label(x) for split, x in inputs.items()}
    if holes:  # NaN in two rows of the training split: the gradient of their batches is not finite
        inputs["train"][[60, 150], 2] = np.nan
    loss = CrossEntropy(options.get("smoothing", 0.0), options.get("weights", ()))
    task = Task("classification", network, partial(losses.cross_entropy, **options), (metric, metric), {})
    return _case(name, task, targets, inputs, loss, classes, metric=metric)


def _single(name: str, inputs: dict[str, np.ndarray], generator: np.random.Generator) -> Case:
    label = _classes(2, generator)
    targets = {split: label(x) for split, x in inputs.items()}
    loss = partial(losses.binary_cross_entropy, positive=1.5)
    task = Task("classification", _net(7, 1, "gelu", "none"), loss, ("signs", "accuracy"), {})
    return _case(name, task, targets, inputs, BinaryCrossEntropy(1.5), 2, scaled=True)


def _margins(name: str, inputs: dict[str, np.ndarray], generator: np.random.Generator) -> Case:
    label = _classes(7, generator)
    targets = {split: label(x) for split, x in inputs.items()}
    network = Network((FEATURES, 9, 7), "leaky_relu", "batch")
    task = Task("classification", network, partial(losses.hinge, margin=0.8), ("top5", "top5"), {})
    return _case(name, task, targets, inputs, Hinge(0.8), 7, metric="top5")


def _multilabel(name: str, inputs: dict[str, np.ndarray]) -> Case:
    targets = {split: _labels(x).astype(np.float32) for split, x in inputs.items()}
    network = _net(8, 4, "softplus", "rms")
    task = Task("multilabel", network, losses.binary_cross_entropy, ("signs", "accuracy"), {})
    return _case(name, task, targets, inputs, BinaryCrossEntropy(), 4)


def _regression(name: str, inputs: dict[str, np.ndarray], count: int, network: Network) -> Case:
    raw = {split: _values(x)[:, :count] for split, x in inputs.items()}
    origin, unit = (float(raw["train"].mean()), 2.5) if count == 1 else (0.0, 1.0)
    targets = {split: ((y - origin) / unit).astype(np.float32) for split, y in raw.items()}
    loss, plain, metric = {
        "values": ("mse", losses.squared, "rmse"),
        "several values": (Huber(0.6), partial(losses.huber, delta=0.6), "mae"),
        "unvalidated": ("mae", losses.absolute, "rmse"),
    }[name]
    task = Task("regression", network, plain, (metric, metric), {}, unit, origin)
    return _case(name, task, targets, inputs, loss, scaled=name == "values", metric=metric)


def _weighted(name: str, inputs: dict[str, np.ndarray], generator: np.random.Generator) -> Case:
    label, weights = _classes(3, generator), np.array([0.0, 0.5, 1.0, 2.5], np.float32)
    targets = {split: (label(x), generator.choice(weights, len(x))) for split, x in inputs.items()}
    loss = losses.weighted(losses.cross_entropy)
    task = Task(
        "classification", _net(6, 3, "silu", "rms"), loss, ("accuracy", "accuracy"), {}, weighted=True
    )
    return _case(name, task, targets, inputs, Weighted(CrossEntropy()), 3, metric=weighted_metric(accuracy))


@cache
def first_weights(name: str) -> list[Arrays]:
    """Return the first weights of a problem for each of `SEEDS`, in float64."""
    params = jax.device_get(initial(case(name).problem, list(SEEDS)).params)
    trees = (take_lane(params, index) for index in range(len(SEEDS)))
    return [dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True)) for tree in trees]


def order(recipe: dict[str, Any], rows: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch reads the rows."""
    seed, shuffle = recipe["seed"], recipe["shuffle"]
    if shuffle == "none":
        return np.arange(rows)
    if shuffle == "replacement":
        return keys.draws(seed, epoch, rows)
    return keys.order(seed, epoch if shuffle == "reshuffle" else 0, rows)


@partial(jax.jit, static_argnames=("parts", "length", "widths", "threshold"))
def _masks(steps: Any, seed: Any, parts: int, length: int, widths: tuple[int, ...], threshold: int) -> Any:
    def of_row(key: Any) -> list[Any]:
        own = jax.random.split(key, len(widths) + 1)
        bits = [jax.random.bits(own[i], (width,), jnp.uint16) for i, width in enumerate(widths)]
        return [each >= threshold for each in bits]

    def of_step(step: Any) -> Any:
        root = keys.wrapped(jnp.stack([jnp.uint32(0), seed]))
        key = jax.random.fold_in(keys.purpose_key(root, keys.MODEL), step)
        some = jax.random.split(key, parts) if parts > 1 else key[None]
        return jax.vmap(lambda part: jax.vmap(of_row)(jax.random.split(part, length)))(some)

    return jax.vmap(of_step)(steps)


@partial(jax.jit, static_argnames="count")
def _noise_keys(steps: Any, seed: Any, count: int) -> Any:
    def of_step(step: Any) -> Any:
        root = keys.wrapped(jnp.stack([jnp.uint32(0), seed]))
        return jax.random.split(jax.random.fold_in(keys.purpose_key(root, keys.GRADIENT), step), count)

    return jax.vmap(of_step)(steps)


@partial(jax.jit, static_argnames="size")
def _normal(keys: Any, size: int) -> Any:
    return jax.vmap(lambda key: jax.random.normal(key, (size,), jnp.float64))(keys)


def given(name: str, recipe: dict[str, Any]) -> Given:
    """Return what is random in the run of a recipe, as arrays."""
    network, seed = case(name).task.network, recipe["seed"]
    rows = COUNTS["train"]
    size = rows if recipe["batch_size"] == "full" else recipe["batch_size"]
    weights = first_weights(name)[SEEDS.index(seed)]
    most = jnp.arange(256)  # as many updates as any run has, so that few programs are compiled
    masks = noise = None
    if network.dropout:
        parts, threshold = recipe["accumulate"], round(network.dropout * 65536)
        layers = _masks(
            most if size < rows else most[:128],
            np.uint32(seed),
            parts,
            -(-size // parts),
            network.widths[1:-1],
            threshold,
        )
        layers = [np.asarray(layer) for layer in layers]
        masks = lambda t: [[layer[t, part] for layer in layers] for part in range(parts)]  # noqa: E731
    if recipe["noise"] is not None:
        own = _noise_keys(most, np.uint32(seed), len(weights))
        normal = {
            path: np.asarray(_normal(own[:, index], w.size)).reshape(-1, *w.shape)
            for index, (path, w) in enumerate(weights.items())
        }
        noise = lambda t: {path: z[t] for path, z in normal.items()}  # noqa: E731
    return Given(weights, partial(order, recipe, rows), masks, noise)


class BrokenOff(BaseException):
    """Stands for a kill within one process."""


class BreakOff(Silent):
    """Breaks a run off at the first status from a step on."""

    def __init__(self, step: int):
        self.step = step

    def update(self, status: Any) -> None:
        if status.step >= self.step:
            raise BrokenOff


def trained(
    name: str, recipes: Sequence[Recipe], folder: Path, *, strict: bool = True, breaks: Sequence[int] = ()
) -> Runs:
    """Train recipes as lanes; broken off at some steps, and resumed each time.

    Args:
        name: Of the problem.
        recipes: One for each lane.
        folder: Where the sweep is written.
        strict: Lanes mapped; if not, batched.
        breaks: Steps (the mean of all lanes) at which the run is broken off.
    """
    problem = case(name).problem
    listeners: Iterator[Any] = iter([*map(BreakOff, breaks), Silent()])
    keep = SaveOptions(folder, every="17" if breaks else "off")
    try:
        return train(problem, recipes, keep=keep, strict=strict, progress=next(listeners))  # type: ignore[return-value]
    except BrokenOff:
        pass
    for listener in listeners:
        try:
            return resume(folder, problem, progress=listener)  # type: ignore[return-value]
        except BrokenOff:
            pass
    raise AssertionError("the last listener breaks nothing off")


class _Plain(dict[str, Any]):
    """Settings as plain values, where what is not set is None."""

    def __missing__(self, name: str) -> None:
        return None


def plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, nested, for the reference."""
    return _opened(recipe.to_dict())


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        return _Plain({name: _opened(part) for name, part in value.items()})
    return [_opened(part) for part in value] if isinstance(value, (list, tuple)) else value
