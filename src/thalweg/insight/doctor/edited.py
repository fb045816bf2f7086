"""`Edited`: a module with changes to its program, as the doctor's counterfactual models need them.

The module inside keeps its parameters, so that the base and its variants start from the same weights. Inputs
and outputs keep their form: whoever calls the module calls the edited one in the same way.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Var
from jaxtyping import Array, Key

from thalweg.insight.doctor.circuit import Affine, Change, Circuit, circuit_of, shape_of
from thalweg.problem.models.layers.activations import ACTIVATIONS

LINEAR = "linear"
# Features below which a normalisation would leave little of a layer: of two, only a sign.
FEWEST_FEATURES = 4
EPSILON = 1e-5


@dataclass(frozen=True)
class Constant:
    """Numbers that select a program: hashable, and no parameters."""

    values: tuple[float, ...]
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, array: Any) -> "Constant":
        """Keep an array."""
        array = np.asarray(array, np.float32)
        return cls(tuple(array.ravel().tolist()), array.shape)

    @property
    def array(self) -> np.ndarray:
        """The array."""
        return np.asarray(self.values, np.float32).reshape(self.shape)


@dataclass(frozen=True)
class Edits:
    """Changes to the program of a module's call; all off by default.

    Args:
        hidden: Activation between affine maps.
        output: Function after the last affine map: an activation, or `linear`.
        normalise: Whether hidden affine maps are followed by a layer norm without parameters.
        skip: Whether the input of a hidden layer is added to its output where shapes agree.
        input_shift, input_scale: Inputs enter as `(x + shift) * scale`.
        output_shift, output_scale: Outputs leave as `z * scale + shift`.
        output_clip: Distance that outputs, which are probabilities, keep from 0 and 1.
    """

    hidden: str | None = None
    output: str | None = None
    normalise: bool = False
    skip: bool = False
    input_shift: Constant | None = None
    input_scale: Constant | None = None
    output_shift: Constant | None = None
    output_scale: Constant | None = None
    output_clip: float | None = None

    def with_(self, **changes: Any) -> "Edits":
        """Return these edits with further ones."""
        return replace(self, **changes)


class Edited(eqx.Module):
    """A module with edits.

    Args:
        inner: The module as it was.
        branch: A module of one example whose result is added to the last affine map; None for none.
        edits: The changes.
    """

    inner: Any
    branch: Any
    edits: Edits = eqx.field(static=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the inner module with its changes."""
        return _call(self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return what the inner module has: an objective may use its parts."""
        if name.startswith("__") or name in ("inner", "branch", "edits"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class _WithKey(Edited):
    def __call__(self, x: Any, *, key: Key[Array, ""] | None = None) -> Any:
        return _call(self, x, key=key)


class _WithState(Edited):
    def __call__(self, x: Any, state: Any) -> Any:
        return _call(self, x, state)


class _WithBoth(Edited):
    def __call__(self, x: Any, state: Any = None, *, key: Key[Array, ""] | None = None) -> Any:
        return _call(self, x, *(() if state is None else (state,)), key=key)


class _Plain(Edited):
    def __call__(self, x: Any) -> Any:
        return _call(self, x)


def edited(module: Any, edits: Edits, branch: Any = None) -> Edited:
    """Return a module with edits; edits of an edited module are joined with its own."""
    if isinstance(module, Edited):
        return edited(module.inner, _joined(module.edits, edits), branch or module.branch)
    accepted = inspect.signature(type(module).__call__).parameters
    takes = ("key" in accepted, "state" in accepted)
    kinds = {
        (False, False): _Plain,
        (True, False): _WithKey,
        (False, True): _WithState,
        (True, True): _WithBoth,
    }
    return kinds[takes](module, branch, edits)


def _joined(first: Edits, second: Edits) -> Edits:
    changed = {name: value for name, value in vars(second).items() if value != getattr(Edits(), name)}
    return replace(first, **changed)


def _call(self: Edited, *args: Any, **kwargs: Any) -> Any:
    edits = self.edits
    raw = args[0]
    if edits.input_scale is not None and edits.input_shift is not None:
        shift, scale = edits.input_shift.array, edits.input_scale.array
        args = ((jnp.asarray(raw).astype(jnp.float32) + shift) * scale, *args[1:])

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        return module(*args, **kwargs)

    circuit, values = circuit_of(call, self.inner, args, kwargs)
    changes = planned(circuit, edits)
    if self.branch is not None and circuit.affines:
        added, last = self.branch(jnp.ravel(args[0]).astype(jnp.float32)), circuit.affines[-1].leaving
        before = changes.get(last)

        def with_branch(value: Any, env: Any) -> Any:
            value = value + added.reshape(value.shape)
            return value if before is None else before(value, env)

        changes = {**changes, last: with_branch}
    outputs, _ = circuit.run(values, changes)
    if edits.output_scale is not None and edits.output_shift is not None:
        outputs[0] = outputs[0] * edits.output_scale.array + edits.output_shift.array
    if edits.output_clip is not None:
        outputs[0] = jnp.clip(outputs[0], edits.output_clip, 1 - edits.output_clip)
    return circuit.rest(outputs)


def planned(circuit: Circuit, edits: Edits) -> dict[Var, Change]:
    """Return the changes of variables that edits mean in a circuit."""
    changes: dict[Var, Change] = {}
    for affine in circuit.hidden:
        if edits.normalise and math.prod(shape_of(affine.leaving)) >= FEWEST_FEATURES:
            changes[affine.leaving] = _normalised(affine)
    if edits.hidden is not None:
        for number in range(len(circuit.hidden)):
            _plan_hidden(circuit, number, ACTIVATIONS[edits.hidden], changes)
    if edits.skip:
        for number in range(len(circuit.hidden)):
            _plan_skip(circuit, number, changes)
    if edits.output is not None and circuit.affines:
        function = (lambda z: z) if edits.output == LINEAR else ACTIVATIONS[edits.output]
        last, result = circuit.affines[-1].leaving, circuit.result
        if last is result:
            changes[last] = lambda value, env: function(value)
        else:
            changes[result] = lambda value, env: function(env[last]).reshape(value.shape)
    return changes


def _normalised(affine: Affine) -> Change:
    def change(value: Any, env: Any) -> Any:
        axes = None if affine.product != "dot_general" else -1
        centred = value - jnp.mean(value, axis=axes, keepdims=True)
        return centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=axes, keepdims=True) + EPSILON)

    return change


def _plan_hidden(
    circuit: Circuit, number: int, function: Callable[[Any], Any], changes: dict[Var, Change]
) -> None:
    """Replace the activations after a hidden affine map, or put one there."""
    sites = circuit.between(number)
    affine, following = circuit.affines[number], circuit.affines[number + 1]
    for site in sites:
        changes[site.leaving] = lambda value, env, site=site: function(env[site.entering])
    if sites:
        return
    first, entering = affine.leaving, following.entering
    if first is entering:
        before = changes.get(first)
        changes[first] = lambda value, env: function(value if before is None else before(value, env))
    elif math.prod(shape_of(entering)) == math.prod(shape_of(first)):
        changes[entering] = lambda value, env: function(env[first]).reshape(value.shape)


def _plan_skip(circuit: Circuit, number: int, changes: dict[Var, Change]) -> None:
    start, end = circuit.affines[number].entering, circuit.affines[number + 1].entering
    if number == 0 or shape_of(start) != shape_of(end) or start is end:
        return
    before = changes.get(end)

    def change(value: Any, env: Any) -> Any:
        value = value if before is None else before(value, env)
        return value + env[start]

    changes[end] = change
