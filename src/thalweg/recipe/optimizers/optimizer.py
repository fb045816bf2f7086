"""What every optimizer is: documented numbers, and one method that builds the Optax rule from them.

The rule is built at every trace, inside the compiled step, from traced scalars. No number is baked into the
program, so another learning rate never recompiles.
"""

import abc
import functools
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.choice import Choice, number


class Optimizer(Choice):
    """An update rule. To add one, define it in a family module of this folder, which also registers it.

    Class attributes:
        name: Standard name in lower case, as in TOML.
        formula: The published update, in plain text.
        when: When to use it, in one sentence.
        reference: Authors, title, year.
        rates: Names of the fields that are learning rates; the schedule's factor multiplies each. A field of
            an inner optimizer is written with a dot.
        momentum_field: The field that a schedule with its own momentum (one-cycle) drives, or None.
        line_search: Whether the rule finds its own step length. Such a rule needs the whole data set in every
            update and the unchanged gradient, and takes no schedule.
        needs_closure: Whether the rule evaluates the loss (`value_fn`) at other parameters. Such a rule needs
            all of them, and takes no parameter groups.
        estimates_rate: Whether the rule estimates its own learning rate, so that `lr` is a factor of it.
        rate_is_step_length: Whether the length of an update depends on the rate, or on the rate and the
            weights, but not on the size of the gradient.
    """

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("lr",)
    momentum_field: ClassVar[str | None] = None
    line_search: ClassVar[bool] = False
    needs_closure: ClassVar[bool] = False
    estimates_rate: ClassVar[bool] = False
    rate_is_step_length: ClassVar[bool] = False

    @property
    def is_gradient_descent(self) -> bool:
        """Whether an update is the rate times the gradient of the loss and its penalty, without memory."""
        return False

    @abc.abstractmethod
    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the Optax rule from this optimizer's numbers, which may be traced.

        Args:
            roles: The role of every parameter (`core.tree.roles`), for rules that treat matrices differently.
            mask: True for every parameter that weight decay applies to.

        Returns:
            A rule whose `update(grads, state, params, value=, grad=, value_fn=)` returns what is added to the
            parameters.
        """

    def transform(self, roles: PyTree, mask: PyTree | None = None) -> optax.GradientTransformationExtraArgs:
        """Return the rule as the engine calls it: the dtypes of state and updates never change.

        Args:
            roles: The role of every parameter (`core.tree.roles`).
            mask: True for every parameter that weight decay applies to; None for `decay_mask(roles)`.
        """
        return fix_dtypes(self.rule(roles, decay_mask(roles) if mask is None else mask))

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
        """Return the first learning rate, the one that logs show; NaN for a rule that has none."""
        return _get(self, self.rates[0]) if self.rates else float("nan")

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the parameters to evaluate and save; differs from `params` for schedule-free rules."""
        return params


def rate(default: float, source: str, doc: str = "Learning rate.") -> Any:
    """Declare a learning rate."""
    return number(default, low=0.0, doc=doc, source=source)


def decay_rate(default: float, source: str, doc: str) -> Any:
    """Declare the decay of a running mean, in [0, 1)."""
    return number(default, low=0.0, high=1.0, open_high=True, doc=doc, source=source)


def first_moment(default: float, source: str) -> Any:
    """Declare b1, the decay of the running mean of gradients."""
    return decay_rate(default, source, "Decay b1 of the mean of gradients.")


def second_moment(default: float, source: str) -> Any:
    """Declare b2, the decay of the running mean of squared gradients."""
    return decay_rate(default, source, "Decay b2 of the mean of squared gradients.")


def optional_momentum() -> Any:
    """Declare a momentum that is off (None) by default."""
    return number(None, low=0.0, high=1.0, open_high=True, optional=True, doc="Momentum b; off when absent.")


def epsilon(default: float, source: str) -> Any:
    """Declare the number that keeps a root or a quotient away from zero."""
    return number(default, low=0.0, doc="Keeps the denominator from zero.", source=source)


def decoupled(default: float, source: str) -> Any:
    """Declare a weight decay that bypasses the gradient: `w = w - lr weight_decay w`."""
    return number(default, low=0.0, doc="Decoupled weight decay, times the learning rate.", source=source)


def penalty() -> Any:
    """Declare an L2 penalty `weight_decay/2 |w|^2`, whose gradient is added; None is off."""
    return number(None, low=0.0, optional=True, doc="L2 penalty weight_decay/2 |w|^2, added to the gradient.")


def penalised(
    rule: optax.GradientTransformation, weight_decay: float | None, mask: PyTree
) -> optax.GradientTransformation:
    """Return the rule with the penalty's gradient, `weight_decay w`, added to its input; None adds none."""
    if weight_decay is None:
        return rule
    return optax.chain(optax.add_decayed_weights(weight_decay, mask=mask), rule)


def decay_mask(roles: PyTree) -> PyTree:
    """Return the mask of parameters that weight decay applies to: matrices, kernels, embeddings and heads.

    Biases and norm scales are exempt, because decaying them hurts and does not regularise the function
    (Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, use; Goyal et al., Accurate, Large
    Minibatch SGD, 2017, section 5.3, exclude batch-norm scales). A parameter group with a weight decay of its
    own overrides this.
    """
    return jax.tree.map(lambda role: role in ("matrix", "kernel", "embedding", "head"), roles)


def fix_dtypes(rule: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Return the rule with the dtypes of its state and updates held fixed.

    Numbers are float32 scalars, so a rule on bfloat16 parameters would widen its state at the first update,
    and a compiled loop would refuse it. Weak types are made strong for the same reason.
    """
    inner = optax.with_extra_args_support(rule)

    def init(params: PyTree) -> Any:
        state = inner.init(params)
        return jax.tree.map(_like, state, state)

    def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> tuple[PyTree, Any]:
        new_updates, new_state = inner.update(updates, state, params, **extra)
        model = updates if params is None else params
        return jax.tree.map(_like, new_updates, model), jax.tree.map(_like, new_state, state)

    return optax.GradientTransformationExtraArgs(init, update)


def _like(value: Any, model: Any) -> Array:
    return jnp.asarray(value).astype(jnp.asarray(model).dtype)


def _get(rule: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), rule)
