"""What every optimizer is: described numbers, and one method that builds the Optax rule from them.

The rule is built anew at every trace, inside the compiled step, with the numbers as traced scalars:
nothing is baked into the program, and `lr` can be followed from the recipe to the update.
"""

import abc
import functools
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.choice import Choice


class Optimizer(Choice):
    """An update rule. Subclasses are final; they are registered in `recipe/optimizers/__init__.py`.

    Class attributes:
        name: Standard name in lower case, as in TOML.
        formula: The published update, in plain text.
        when: When to use it, one sentence.
        reference: Authors, title, year.
        rates: Names of the fields that are learning rates; the schedule's factor multiplies each. A field of
            an inner optimizer is written with a dot.
        momentum_field: The field that a schedule with its own momentum (one-cycle) drives, or None.
        line_search: Whether the rule finds its step length itself. It then wants the whole data set in every
            update and the gradient as it is, and takes no schedule.
        asks_loss: Whether the rule calls the loss (`value_fn`) at other parameters. It wants all of them and
            so takes no groups.
        estimates_rate: Whether the rule estimates its own learning rate, so that `lr` is a factor of it.
        rate_is_step_length: Whether the rate alone, or with the weights, sets the length of an update,
            whatever the size of the gradient.
    """

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("lr",)
    momentum_field: ClassVar[str | None] = None
    line_search: ClassVar[bool] = False
    asks_loss: ClassVar[bool] = False
    estimates_rate: ClassVar[bool] = False
    rate_is_step_length: ClassVar[bool] = False

    @property
    def is_gradient_descent(self) -> bool:
        """Whether an update is the rate times the gradient of the loss and its penalty, without memory."""
        return False

    @abc.abstractmethod
    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the Optax rule from this optimizer's numbers, which may be traced.

        Args:
            roles: The role of every parameter (`core.tree.roles`), for matrix rules.
            mask: True for every parameter that weight decay touches.

        Returns:
            A rule whose `update(grads, state, params, value=, grad=, value_fn=)` returns what is added to the
            parameters.
        """

    def transform(self, roles: PyTree, mask: PyTree | None = None) -> optax.GradientTransformationExtraArgs:
        """Return the rule as the engine calls it: dtypes of state and updates stay as they begin.

        Args:
            roles: The role of every parameter (`core.tree.roles`).
            mask: True for every parameter that weight decay touches; None for `decayed(roles)`.
        """
        return steady(self.rule(roles, decayed(roles) if mask is None else mask))

    def scaled(self, factor: Float[Array, ""] | float, momentum: Float[Array, ""] | None = None) -> Self:
        """Return this optimizer with every learning rate times `factor`, and momentum replaced if given.

        A momentum that is off stays off: on or off is structure.
        """
        names = list(self.rates)
        values = [_get(self, name) * factor for name in names]
        driven = self.momentum_field
        if momentum is not None and driven is not None and _get(self, driven) is not None:
            names.append(driven)
            values.append(momentum)
        return eqx.tree_at(lambda rule: [_get(rule, name) for name in names], self, values) if names else self

    def first_rate(self) -> Float[Array, ""] | float:
        """Return the first of the learning rates, the one that logs show; NaN for a rule that has none."""
        return _get(self, self.rates[0]) if self.rates else float("nan")

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the parameters to evaluate and save; differs from `params` for schedule-free rules."""
        del state
        return params


def decayed(roles: PyTree) -> PyTree:
    """Return the mask of parameters that weight decay touches: matrices, kernels, embeddings and heads.

    Biases and norm scales are left alone: decaying them does not regularise the function
    and hurts (Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, use; Goyal et al., Accurate,
    Large Minibatch SGD, 2017, section 5.3, exclude batch-norm scales). A parameter group with a weight
    decay of its own asks for it.
    """
    return jax.tree.map(lambda role: role in ("matrix", "kernel", "embedding", "head"), roles)


def steady(rule: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Return the rule with the dtypes of its state and updates held fixed.

    Numbers are float32 scalars, so that a rule on bfloat16 parameters would widen its state at the first
    update, and a compiled loop would refuse it. Weak types are made strong for the same reason.
    """
    inner = optax.with_extra_args_support(rule)

    def init(params: PyTree) -> Any:
        state = inner.init(params)
        return jax.tree.map(_like, state, state)

    def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> tuple[PyTree, Any]:
        moved, after = inner.update(updates, state, params, **extra)
        return jax.tree.map(_like, moved, updates if params is None else params), jax.tree.map(
            _like, after, state
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _like(value: Any, model: Any) -> Array:
    return jax.numpy.asarray(value).astype(jax.numpy.asarray(model).dtype)


def _get(rule: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), rule)
