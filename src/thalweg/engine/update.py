"""The update rule applied to the parameters, or to those of the model whose turn it is.

Models that are trained in turn have an optimizer state each, so that the moments and the step count of one do
not change in the updates of another.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from thalweg.core.tree import roles
from thalweg.engine.backward import Backward, Lane
from thalweg.problem.losses.loss import Loss
from thalweg.problem.objective import Objective
from thalweg.problem.players import Alternating
from thalweg.recipe import gradient
from thalweg.recipe.groups import within
from thalweg.recipe.recipe import Recipe


def initial(loss: Loss | Objective, recipe: Recipe, params: PyTree) -> PyTree:
    """Return the first state of the optimizer; of several models that are trained in turn, one for each."""
    if not isinstance(loss, Alternating):
        return recipe.update_rule(roles(params)).init(params)
    recipe.update_rule(roles(params))  # refuses a group that no model has
    owns = {name: params.only(name) for name, _ in loss.players}
    return {name: _rule(recipe, own).init(own) for name, own in owns.items()}


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
        grads: The gradient for the rule.
        optimizer, params: State and parameters before the update.
        passed: What backpropagation computed.
        step: Updates made so far.
        rates: The schedule's factor, and its momentum or None.
    """
    loss = lane.program.loss
    facts = {"value": passed.loss, "grad": grads, "value_fn": passed.loss_of}
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
