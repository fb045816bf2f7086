"""`Line`: the loss between two networks, on the straight line and on a curve that was trained to be low.

The barrier is the largest rise of the loss above the straight line between the losses of both ends (Entezari
et al., The Role of Permutation Invariance in Linear Mode Connectivity, 2022, definition 1; Frankle et al.,
Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020). The curve is a quadratic Bezier curve whose
middle point is trained to lower the mean loss along it (Garipov et al., Loss Surfaces, Mode Connectivity, and
Fast Ensembling of DNNs, 2018, section 3).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from thalweg.core.errors import ModelError
from thalweg.core.shown import Shown
from thalweg.core.stop_reason import StopReason
from thalweg.insight.landscape.points import RECOMPUTED, Points, Progress
from thalweg.insight.landscape.subject import Subject
from thalweg.insight.wording import figure, percent, plural
from thalweg.problem.models.adapter import PartitionedModel, apply, build_as_trained
from thalweg.problem.objective import Objective
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train

# Points on a line, both ends among them.
POINTS = 41
# A barrier up to this share of the higher end is none: the two are linearly connected (Frankle et al. 2020
# take 2 % of error).
CONNECTED = 0.02
# Updates that a curve is trained for, and the rate of Adam, its usual one.
CURVE_STEPS, CURVE_RATE = 1000, 1e-3


@dataclass(frozen=True, repr=False)
class Line(Shown):
    """The loss between two networks.

    Args:
        names: Of both.
        at: Positions, 0 at the first and 1 at the second.
        loss: On the straight line, by split.
        metric: The metric on the straight line, by split.
        metric_name: Its name.
        curve_loss: On the curve, by split; empty if none was trained.
        distance: Euclidean distance of the weights.
        examples: Examples by split.
        batch_norm: `frozen` or `recomputed`; None where the model has no running statistics.
        curve_steps: Updates that the curve was trained for.
        seconds: Time to compute it.
    """

    names: tuple[str, str]
    at: Float[np.ndarray, " point"]
    loss: dict[str, Float[np.ndarray, " point"]]
    metric: dict[str, Float[np.ndarray, " point"]]
    metric_name: str
    curve_loss: dict[str, Float[np.ndarray, " point"]]
    distance: float
    examples: dict[str, int]
    batch_norm: str | None = None
    curve_steps: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Return the sentences."""
        return "\n".join((self.headline, *self.sentences))

    def barrier(self, split: str | None = None, curve: bool = False) -> float:
        """Return the largest rise above the straight line between the losses of both ends, at least 0.

        Args:
            split: Of which split; None for the first.
            curve: On the curve in place of the line.
        """
        losses = (self.curve_loss if curve else self.loss)[split or next(iter(self.loss))]
        return rise(self.at, losses)

    @property
    def connected(self) -> bool:
        """Whether the line has no barrier: at most 2 % of the higher end's loss."""
        losses = next(iter(self.loss.values()))
        return self.barrier() <= CONNECTED * max(float(losses[0]), float(losses[-1]))

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        first, second = self.names
        if self.connected:
            return f"No barrier between {first} and {second}: they lie in one valley"
        return f"A barrier of {figure(self.barrier())} in loss between {first} and {second}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was computed, a sentence each."""
        said = []
        for split, losses in self.loss.items():
            top = int(np.nanargmax(np.where(np.isfinite(losses), losses, np.inf)))
            said.append(
                f"{split}, {plural(self.examples[split], 'example')}: loss {figure(losses[0])} and "
                f"{figure(losses[-1])} at the ends, at most {figure(losses[top])} between (at "
                f"{figure(self.at[top], 2)}); the barrier is {figure(self.barrier(split))}."
            )
        for split, losses in self.curve_loss.items():
            said.append(
                f"{split}, on a curve trained for {plural(self.curve_steps, 'update')}: at most "
                f"{figure(np.nanmax(losses))}; the barrier is {figure(self.barrier(split, curve=True))}"
                f"{self._lowered(split)}."
            )
        if self.batch_norm is not None:
            how = "recomputed at every point" if self.batch_norm == RECOMPUTED else "those of the first run"
            said.append(f"Running statistics are {how}.")
        said.append(f"The weights are {figure(self.distance)} apart.")
        return tuple(said)

    def _lowered(self, split: str) -> str:
        straight = self.barrier(split)
        return (
            ""
            if not straight > 0
            else f", {percent(self.barrier(split, curve=True) / straight, 0)} of the line's"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "names": list(self.names),
            "at": self.at.tolist(),
            "loss": {split: losses.tolist() for split, losses in self.loss.items()},
            "metric": {split: values.tolist() for split, values in self.metric.items()},
            "curve_loss": {split: losses.tolist() for split, losses in self.curve_loss.items()},
            "barrier": {split: self.barrier(split) for split in self.loss},
            "curve_barrier": {split: self.barrier(split, curve=True) for split in self.curve_loss},
            "connected": self.connected,
            "distance": self.distance,
            "examples": self.examples,
            "batch_norm": self.batch_norm,
            "seconds": self.seconds,
        }


def rise(at: Float[np.ndarray, " point"], losses: Float[np.ndarray, " point"]) -> float:
    """Return how far losses rise above the straight line between the first and the last; infinite for NaN."""
    straight = (1 - at) * losses[0] + at * losses[-1]
    above = np.where(np.isfinite(losses), losses, np.inf) - straight
    return float(max(0.0, above.max()))


def between(
    first: Subject,
    second: Subject,
    evaluators: Sequence[Points],
    *,
    curve_steps: int = 0,
    progress: Progress | None = None,
) -> Line:
    """Compute the loss on the straight line, and on a curve.

    Args:
        first, second: The ends, of one problem.
        evaluators: Evaluate the loss of the first at other weights, one for each split.
        curve_steps: Updates to train a curve for; 0 for none.
        progress: Receives how many of how many points are done.
    """
    started, at = time.perf_counter(), np.linspace(0.0, 1.0, POINTS)
    ends = first.params, second.params
    weights = [_mix(ends, (1 - t, t)) for t in at]
    bend = _trained_bend(first, second, curve_steps) if curve_steps else None
    curved = [] if bend is None else [_mix((*ends, bend), bezier(t)) for t in at]
    loss, metric, curve_loss = {}, {}, {}
    for points in evaluators:
        straight = points.at(weights, progress)
        loss[points.split], metric[points.split] = straight.loss, straight.metric
        if curved:
            curve_loss[points.split] = points.at(curved, progress).loss
    apart = zip(*(jax.tree.leaves(end) for end in ends), strict=True)
    distance = np.sqrt(
        sum(float(np.square(np.asarray(a, float) - np.asarray(b, float)).sum()) for a, b in apart)
    )
    return Line(
        (first.name, second.name),
        at,
        loss,
        metric,
        evaluators[0].group.program.metric.name,
        curve_loss,
        float(distance),
        {points.split: points.examples for points in evaluators},
        evaluators[0].batch_norm if evaluators[0].has_statistics else None,
        curve_steps,
        time.perf_counter() - started,
    )


def bezier(t: Any) -> tuple[Any, Any, Any]:
    """Return the weights of first end, second end and middle point at a position of a quadratic curve."""
    return (1 - t) ** 2, t**2, 2 * t * (1 - t)


class Curve(eqx.Module):
    """The model of a curve: its middle point is trained, its ends are not.

    Args:
        bend: The arrays of the middle point.
        ends: Those of both ends, as the integers that have the same bits, because integers are not trained.
    """

    bend: list[Array]
    ends: tuple[list[Array], list[Array]]

    def __call__(self, position: Float[Array, ""]) -> list[Array]:
        """Return the arrays of the parameters at a position."""
        first, second = (
            [_as_numbers(leaf, like) for leaf, like in zip(end, self.bend, strict=True)] for end in self.ends
        )
        return _mix((first, second, self.bend), bezier(position))


def _trained_bend(first: Subject, second: Subject, steps: int) -> PyTree:
    """Train the middle point of the curve, by the trainer that trains everything else.

    Raises:
        ModelError: The problem has players, which are no single loss.
    """
    problem = first.problem
    built = build_as_trained(problem.model, first.recipe.seed)
    loss = problem.loss
    if isinstance(loss, Objective) and type(loss) is not Objective:
        rule, hint = "a curve needs one loss, not several in turn", "leave curve out"
        raise ModelError("landscape", rule, got=loss.label, hint=hint)

    def losses(model: Curve, batch: PyTree, key: Key[Array, ""]) -> Float[Array, "..."]:
        place, noise = jax.random.split(key)
        params = jax.tree.unflatten(treedef, model(jax.random.uniform(place)))
        module = PartitionedModel(params, first.model_state, built.fixed)
        if isinstance(loss, Objective):
            return loss.measure(module, batch, noise, training=True).losses
        inputs, targets = batch
        outputs, _ = apply(module, inputs, key=noise, training=True)
        return loss(outputs, targets)

    ends = tuple([_as_integers(leaf) for leaf in jax.tree.leaves(end.params)] for end in (first, second))
    treedef = jax.tree.structure(first.params)
    middle = jax.tree.leaves(_mix((first.params, second.params), (0.5, 0.5)))
    start = Curve(middle, (ends[0], ends[1]))
    curve = Problem(start, problem.data, objective=losses, name="curve")
    recipe = Recipe(Adam(lr=CURVE_RATE), batch_size=first.recipe.batch_size, steps=steps)
    run: Any = train(curve, recipe, progress=False)
    if run.result["stopped"] == StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return jax.tree.unflatten(treedef, run.params.bend)


def _mix(trees: Sequence[PyTree], shares: Sequence[Any]) -> PyTree:
    def leaf(*leaves: Any) -> Any:
        return (
            sum(share * each for share, each in zip(shares[1:], leaves[1:], strict=True))
            + shares[0] * leaves[0]
        )

    return jax.tree.map(leaf, *trees)


def _as_integers(leaf: Any) -> Array:
    return jax.lax.bitcast_convert_type(
        jnp.asarray(leaf), {4: jnp.int32, 8: jnp.int64, 2: jnp.int16}[leaf.dtype.itemsize]
    )


def _as_numbers(leaf: Array, like: Array) -> Array:
    return jax.lax.bitcast_convert_type(leaf, like.dtype)
