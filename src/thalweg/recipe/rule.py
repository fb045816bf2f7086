"""From a recipe to the rule that the engine calls: schedule's factor, rate rule, parameter groups."""

from collections.abc import Hashable

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.recipe.groups import REST, ParamGroup, labels
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.recipe import Recipe


def rule_of(
    recipe: Recipe,
    roles: PyTree,
    factor: Float[Array, ""] | float = 1.0,
    momentum: Float[Array, ""] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Build the recipe's update rule for this step; its `init` does not depend on factor and momentum.

    Args:
        recipe: Its numbers may be traced.
        roles: The role of every parameter (`core.tree.roles`).
        factor: The schedule's factor at this step.
        momentum: The schedule's momentum at this step, or None.

    Raises:
        RecipeError: A parameter group has no parameter.
    """
    optimizer = recipe.optimizer.scaled(factor * recipe.rate_factor(), momentum)
    if not recipe.groups:
        return optimizer.transform(roles)
    which = labels(recipe.groups, roles)
    rules: dict[Hashable, optax.GradientTransformation] = {
        index: _rule(optimizer, group, _only(index, which, roles))
        for index, group in enumerate(recipe.groups)
    }
    rules[REST] = optimizer.transform(_only(REST, which, roles))
    # A function, because a tree of labels that is itself a callable module would be called.
    return optax.partition(rules, lambda params: which)


def _rule(optimizer: Optimizer, group: ParamGroup, roles: PyTree) -> optax.GradientTransformationExtraArgs:
    if group.frozen:
        return optax.with_extra_args_support(optax.set_to_zero())
    scaled = optimizer.scaled(group.lr_factor)
    if group.weight_decay is None:
        return scaled.transform(roles)
    changed = eqx.tree_at(
        lambda rule: rule.weight_decay, scaled, group.weight_decay, is_leaf=lambda leaf: leaf is None
    )
    return changed.transform(roles, mask=jax.tree.map(lambda _: True, roles))


def _only(index: int, which: PyTree, roles: PyTree) -> PyTree:
    """Keep the roles of one group; the others become what Optax puts in place of their parameters."""
    return jax.tree.map(lambda label, role: role if label == index else optax.MaskedNode(), which, roles)
