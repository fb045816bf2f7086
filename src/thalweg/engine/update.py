"""The update rule applied to the parameters, to adapters, or to those of the model whose turn it is.

Models that are trained in turn have an optimizer state each, so that the moments and the step count of one do
not change in the updates of another.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from thalweg.core import keys
from thalweg.core.errors import RecipeError
from thalweg.core.tree import roles
from thalweg.engine.backward import Backward, Lane
from thalweg.problem.losses.loss import Loss
from thalweg.problem.objective import Objective
from thalweg.problem.players import Alternating
from thalweg.recipe import adapters, gradient
from thalweg.recipe.groups import adapted_by, within, without_frozen
from thalweg.recipe.recipe import Recipe


class Adapted(eqx.Module):
    """The state of an optimizer that trains adapters.

    Args:
        factors: The thin matrices, by the path of the parameter that they are added to.
        rule: The state of the rule, which trains them and the parameters without adapters.
    """

    factors: dict[str, adapters.Factors]
    rule: PyTree


def initial(loss: Loss | Objective, recipe: Recipe, params: PyTree, key: Array) -> PyTree:
    """Return the first state of the optimizer; of several models that are trained in turn, one for each.

    Args:
        loss: What is minimised.
        recipe: The recipe.
        params: The parameters.
        key: Raw words of the lane's key, from which adapters are drawn.

    Raises:
        RecipeError: A group has no parameter, or adapters do not go with the optimizer or the objective.
    """
    groups = adapted_by(recipe.groups, roles(params)) if recipe.groups else {}
    if groups:
        return _adapted(loss, recipe, params, key, {path: group.ranks for path, group in groups.items()})
    if not isinstance(loss, Alternating):
        return recipe.update_rule(roles(params)).init(params)
    recipe.update_rule(roles(params))  # refuses a group that no model has
    owns = {name: params.only(name) for name, _ in loss.players}
    return {name: _rule(recipe, own).init(own) for name, own in owns.items()}


def _adapted(
    loss: Loss | Objective, recipe: Recipe, params: PyTree, key: Array, ranks: dict[str, int]
) -> Adapted:
    if isinstance(loss, Alternating):
        rule, hint = "models that are trained in turn take no adapters", "leave adapter out of the groups"
        raise RecipeError("recipe.groups", rule, got="adapter='lora'", hint=hint)
    drawn = keys.purpose_key(keys.wrapped(key), keys.ADAPTERS)
    factors = adapters.initial(params, roles(params), ranks, drawn)
    state = recipe.update_rule(roles(params)).init(adapters.trained(params, factors))
    kind = optax.contrib.ScheduleFreeState
    if any(isinstance(node, kind) for node in jax.tree.leaves(state, is_leaf=lambda n: isinstance(n, kind))):
        rule = "evaluates an average of the weights and so takes no adapters"
        raise RecipeError(recipe.optimizer.name, rule, got="adapter='lora'", hint="take another optimizer")
    return Adapted(factors, state)


def as_trained(recipe: Recipe, optimizer: PyTree, params: PyTree, grads: PyTree) -> tuple[PyTree, PyTree]:
    """Return parameters and gradient as the rule takes them: no gradient of what is frozen, which would count
    in the norm that is clipped; and where there are adapters, the thin matrices in the place of each matrix.
    """
    adapted = isinstance(optimizer, Adapted)
    if not adapted and not any(group.frozen for group in recipe.groups):
        return params, grads
    all_roles = roles(params)
    grads = without_frozen(grads, recipe.groups, all_roles)
    if not adapted:
        return params, grads
    scales = _scales(recipe, all_roles)
    trained = adapters.trained(params, optimizer.factors)
    return trained, adapters.gradients(grads, optimizer.factors, scales)


def _scales(recipe: Recipe, all_roles: PyTree) -> dict[str, Any]:
    return {path: group.scale for path, group in adapted_by(recipe.groups, all_roles).items()}


def _rule(recipe: Recipe, own: PyTree, *rates: Any) -> Any:
    """Return the rule of one of several models, with the groups that are among its parameters."""
    mine = replace(recipe, groups=within(recipe.groups, roles(own))) if recipe.groups else recipe
    return mine.update_rule(roles(own), *rates)


def updates_of(
    lane: Lane, grads: PyTree, optimizer: PyTree, params: Any, passed: Backward, step: Array, rates: tuple
) -> tuple[PyTree, PyTree]:
    """Return what is added to the parameters, and the optimizer's next state.

    Args:
        lane: The program, its inputs and the recipe.
        grads: The gradient for the rule, as `as_trained` gives it.
        optimizer, params: State and parameters before the update.
        passed: What backpropagation computed.
        step: Updates made so far.
        rates: The schedule's factor, and its momentum or None.
    """
    loss = lane.program.loss
    facts = {"value": passed.loss, "grad": grads, "value_fn": passed.loss_of}
    if isinstance(optimizer, Adapted):
        all_roles, factors = roles(params), optimizer.factors
        rule = lane.recipe.update_rule(all_roles, *rates)
        change, state = rule.update(grads, optimizer.rule, adapters.trained(params, factors), **facts)
        updates, factors = adapters.applied(change, params, factors, _scales(lane.recipe, all_roles))
        return updates, Adapted(factors, state)
    if not isinstance(loss, Alternating):
        return lane.recipe.update_rule(roles(params), *rates).update(grads, optimizer, params, **facts)
    turn, updates, after = loss.turn(step), [], {}
    for position, (name, _) in enumerate(loss.players):
        own = params.only(name)
        rule = _rule(lane.recipe, own, *rates)
        change, state = rule.update(grads.only(name), optimizer[name], own, **facts)
        updates.append(
            jax.tree.map(lambda u, now=turn == position: jnp.where(now, u, 0).astype(u.dtype), change)
        )
        after[name] = gradient.select(turn == position, state, optimizer[name])
    return eqx.combine(*updates), after
