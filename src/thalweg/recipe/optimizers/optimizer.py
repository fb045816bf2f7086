"""What every optimizer is: described numbers, and one method that builds the Optax rule from them.

The rule is built anew at every trace, inside the compiled step, with the numbers as traced scalars:
nothing is baked into the program, and `lr` can be followed from the recipe to the update.
"""

import abc
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
        rates: Names of the fields that are learning rates; the schedule's factor multiplies each.
        momentum_field: The field that a schedule with its own momentum (one-cycle) drives, or None.
    """

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("lr",)
    momentum_field: ClassVar[str | None] = None

    @abc.abstractmethod
    def transform(self, roles: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the Optax rule from this optimizer's numbers, which may be traced.

        Args:
            roles: The role of every parameter (`core.tree.roles`), for decay masks and matrix rules.

        Returns:
            A rule whose `update(grads, state, params, value=, grad=, value_fn=)` returns what is added to the
            parameters. Its `init` must not depend on the numbers' values.
        """

    def scaled(self, factor: Float[Array, ""], momentum: Float[Array, ""] | None = None) -> Self:
        """Return this optimizer with every learning rate times `factor`, and momentum replaced if given."""
        names = list(self.rates)
        values = [getattr(self, name) * factor for name in names]
        if momentum is not None and self.momentum_field is not None:
            names.append(self.momentum_field)
            values.append(momentum)
        return eqx.tree_at(lambda rule: [getattr(rule, name) for name in names], self, values)

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the parameters to evaluate and save; differs from `params` for schedule-free rules."""
        del state
        return params


def decayed(roles: PyTree) -> PyTree:
    """Return the mask of parameters that weight decay touches: matrices, kernels and embeddings.

    Biases and norm scales are left alone: decaying them does not regularise the function
    and hurts (Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, use; Goyal et al., Accurate,
    Large Minibatch SGD, 2017, section 5.3, exclude batch-norm scales).
    """
    return jax.tree.map(lambda role: role in ("matrix", "kernel", "embedding"), roles)
