"""All that a shard of lanes needs to go on bit for bit: out of a `LaneStates`, and back into one.

Arrays: parameters, model state, optimizer, schedule, averages, loss scale, key, step, result code and limit
of every lane; the best weights with their losses; what the conditions remember. Plain facts: the steps done
and judged, why lanes stopped, the seconds spent, how far the log was. The place in the data needs no more
than the step: the order is a pure function of (seed, epoch).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.errors import RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import dotted
from thalweg.engine.state import RUNNING, STOPPED
from thalweg.run.checkpoint.store import Checkpoint
from thalweg.run.session.lane_states import LaneStates


def taken(course: LaneStates) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return a course's arrays by name, on the host, and its facts. JAX arrays never change: no copy is made
    where the device's memory is the host's.
    """
    arrays = dict(_named("state", course.states))
    if course.best.kept is not None:
        arrays |= dict(_named("best.kept", course.best.kept))
    arrays |= {name: np.array(value) for name, value in _host(course).items()}
    facts = {
        "step": course.step,
        "judged": course.judged,
        "rests": course.rests,
        "stopped": list(course.stopped),
        "seconds": course.watch.seconds(),
        "seen": {name: value for name, value in course.seen.items() if _is_plain(value)},
        "log": course.log.mark(),
    }
    return arrays, facts


def score(course: LaneStates) -> float | None:
    """Return the lowest of the lanes' latest validation losses; None before the first."""
    losses = course.validated[0][course.used]
    known = losses[np.isfinite(losses)]
    return float(known.min()) if len(known) else None


def put_back(course: LaneStates, found: Checkpoint) -> None:
    """Bring a course, made anew for the same problem and recipes, to where a checkpoint was taken.

    Raises:
        RunFolderError: The checkpoint's arrays are not those of this problem and these recipes.
    """
    arrays, facts = found.arrays, found.manifest.facts
    course.states = _filled("state", course.states, arrays, found)
    if any(name.startswith("best.kept.") for name in arrays):
        like = (course.states.params, course.states.model_state)
        course.best.kept = _filled("best.kept", like, arrays, found)
    for name, value in _host(course).items():
        stored = _checked(name, value, arrays, found)
        value[...] = stored
    course.step, course.judged = int(facts["step"]), int(facts["judged"])
    course.rests = int(facts["rests"])
    course.stopped = [None if reason is None else str(reason) for reason in facts["stopped"]]
    course.seen = dict(facts["seen"])
    spent = facts["seconds"]
    course.watch.begun -= spent["total"]
    for name in ("compile", "train", "evaluate"):
        setattr(course.watch, name, getattr(course.watch, name) + spent[name])
    _revive(course)


def _revive(course: LaneStates) -> None:
    """Let lanes go on that had come to their planned end, where the plan is longer now."""
    if course.step >= course.group.total:
        return
    which = np.array([StopReason.facts_of(reason).planned for reason in course.stopped])
    course.stopped = [None if again else why for again, why in zip(which, course.stopped, strict=True)]
    codes = jnp.where(jnp.asarray(which) & (course.states.code == STOPPED), RUNNING, course.states.code)
    course.states = eqx.tree_at(lambda states: states.code, course.states, codes)


def _host(course: LaneStates) -> dict[str, np.ndarray]:
    """Return the arrays that live on the host, as they are: to be copied out, or written into."""
    return {
        "best.loss": course.best.loss,
        "best.step": course.best.step,
        "best.waited": course.best.waited,
        "validated.loss": course.validated[0],
        "validated.metric": course.validated[1],
        "losses": course.losses,
    } | {f"conditions.{name}": value for name, value in course.conditions.memory().items()}


def _named(prefix: str, tree: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    for path, leaf in flat:
        if eqx.is_array(leaf):
            yield f"{prefix}.{dotted(path)}", np.asarray(keys.plain(leaf))


def _filled(prefix: str, tree: PyTree, arrays: Mapping[str, np.ndarray], found: Checkpoint) -> PyTree:
    def one(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        stored = _checked(f"{prefix}.{dotted(path)}", keys.plain(leaf), arrays, found)
        return keys.as_before(jnp.array(stored), leaf)

    return jax.tree_util.tree_map_with_path(one, tree)


def _checked(name: str, like: Any, arrays: Mapping[str, np.ndarray], found: Checkpoint) -> np.ndarray:
    stored = arrays.get(name)
    if stored is None or stored.shape != like.shape or stored.dtype != like.dtype:
        raise RunFolderError(
            "checkpoint",
            "must fit the problem and the recipe that go on from it",
            got="no such array" if stored is None else f"{stored.dtype}{list(stored.shape)}",
            where=f"{name}, {like.dtype}{list(like.shape)} wanted, in {found.path}",
            hint="numbers of a recipe may change on the way; its choices, the model and the data may not",
        )
    return stored


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value))
