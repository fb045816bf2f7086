"""`Plan`: a problem and a recipe with changes, as the doctor tries and hands them over.

A plan starts empty and is changed by `Move`s, which can be combined; `build` makes the problem and recipe.
Whoever calls the repaired model calls it as before: inputs are scaled, and outputs brought back into the
target's unit, inside of the model.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from thalweg.core.tree import BIAS, EMBEDDING, SCALE, roles
from thalweg.insight.doctor.diagnosis import Change
from thalweg.insight.doctor.edited import Edits, edited
from thalweg.insight.doctor.swapped import with_dropout, without_batch_norm
from thalweg.insight.doctor.usual import relearned, unpenalised
from thalweg.problem.data.data import Data
from thalweg.problem.models import MLP
from thalweg.problem.models.adapter import is_factory
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """Changes to a problem and a recipe.

    Args:
        recipe: The recipe with its changes.
        architecture: Fields of an architecture to replace.
        edits: Changes to the program of the module.
        init: New initial weights, `glorot`; None keeps the model's own.
        dropout: Share of units that dropout layers drop; None keeps it.
        batch_norm: False replaces batch norm by a norm of each example.
        branch: Widths of a second network beside the model, added to its last affine map; none if empty.
        loss: A loss in place of the problem's: a name, or a function `(outputs, targets)`.
        loss_scale: Factor of the loss.
        penalty: False leaves out the gradient of what an objective adds for the weights alone.
        relabel: Applied to the targets as the loss sees them: `(scale, shift)`.
        leaf: For an objective, which leaf of the batch holds the targets.
        data: Data in place of the problem's.
    """

    recipe: Recipe
    architecture: Mapping[str, Any] = field(default_factory=dict)
    edits: Edits = field(default_factory=Edits)
    init: str | None = None
    dropout: float | None = None
    batch_norm: bool = True
    branch: tuple[int, ...] = ()
    loss: Any = None
    loss_scale: float = 1.0
    penalty: bool = True
    relabel: tuple[float, float] | None = None
    leaf: int | None = None
    data: Data | None = None

    def edited(self, **edits: Any) -> "Plan":
        """Return the plan with further edits of the module's program."""
        return replace(self, edits=self.edits.with_(**edits))

    def build(self, problem: Problem) -> tuple[Problem, Recipe]:
        """Return the problem and the recipe with all changes."""
        changes: dict[str, Any] = {}
        if self.data is not None:
            changes["data"] = self.data
        model = self._model(problem)
        if model is not problem.model:
            changes["model"] = model
            if problem.objective is None and (self.edits.output is not None):
                changes["outputs"] = None
        if problem.objective is None:
            loss = self._loss(problem)
            if loss is not problem.loss:
                changes["loss"] = loss
                changes["outputs"] = (
                    None if self.loss is not None else changes.get("outputs", problem.outputs)
                )
        elif self._changes_loss:
            changes["objective"], changes["loss"] = self._objective(problem), None
        if not changes:
            return problem, self.recipe
        return replace(problem, **changes), self.recipe

    @property
    def _changes_loss(self) -> bool:
        changed = self.loss is not None or self.relabel is not None
        return changed or self.loss_scale != 1.0 or not self.penalty

    def _model(self, problem: Problem) -> Any:
        model = problem.model
        if self.architecture:
            model = replace(model, **self.architecture)
        inside = (self.init, self.dropout) != (None, None) or self.branch or not self.batch_norm
        if self.edits == Edits() and not inside:
            return model
        return _Factory(model, self)

    def _loss(self, problem: Problem) -> Any:
        if not self._changes_loss:
            return problem.loss
        loss, factor, relabel = (
            self.loss if self.loss is not None else problem.loss,
            self.loss_scale,
            self.relabel,
        )
        if factor == 1.0 and relabel is None:
            return loss

        def changed(outputs: Any, targets: Any) -> Any:
            if relabel is not None:
                targets = (targets * relabel[0] + relabel[1]).astype(targets.dtype)
            return factor * loss(outputs, targets)

        return changed

    def _objective(self, problem: Problem) -> Callable[..., Any]:
        function, factor, relabel, leaf = problem.objective.function, self.loss_scale, self.relabel, self.leaf
        if self.loss is not None and leaf is not None:
            function = relearned(function, self.loss, leaf)
        if not self.penalty:
            function = unpenalised(function)

        @functools.wraps(function)
        def changed(model: Any, batch: Any, *more: Any) -> Any:
            if relabel is not None and leaf is not None:
                batch = _relabelled(batch, leaf, relabel)
            result = function(model, batch, *more)
            if isinstance(result, tuple):
                return (factor * result[0], *result[1:])
            return factor * result

        return changed


@dataclass(frozen=True)
class Move:
    """A change that can be made to a plan.

    Args:
        change: What it is called.
        apply: Returns the plan with it.
    """

    change: Change
    apply: Callable[[Plan], Plan] = field(compare=False)

    @property
    def structural(self) -> bool:
        """Whether it changes the compiled program, which costs seconds."""
        return self.change.group in ("model", "head", "data")


def planned(recipe: Recipe, moves: tuple[Move, ...], leaf: int | None = None) -> Plan:
    """Return the plan of several moves."""
    plan = Plan(recipe, leaf=leaf)
    for move in moves:
        plan = move.apply(plan)
    return plan


class _Factory:
    """A factory `key -> Module` for a changed model; equal factories make equal modules."""

    def __init__(self, model: Any, plan: Plan):
        self.model, self.plan = model, plan
        self.__name__ = getattr(model, "__name__", type(model).__name__)

    def __call__(self, key: Key[Array, ""]) -> eqx.Module:
        module = self.model(key) if is_factory(self.model) else self.model
        if self.plan.init is not None:
            module = reinitialised(module, jax.random.fold_in(key, 1))
        if self.plan.dropout is not None:
            module = with_dropout(module, self.plan.dropout)
        if not self.plan.batch_norm:
            module = without_batch_norm(module)
        if self.plan.edits == Edits() and not self.plan.branch:
            return module
        branch = self.plan.branch
        beside = MLP(branch)(jax.random.fold_in(key, 2)) if branch else None
        return edited(module, self.plan.edits, beside)


def reinitialised(module: Any, key: Key[Array, ""]) -> Any:
    """Return a module with new initial weights: Glorot's for matrices and kernels, 0 for biases.

    The variance 2 / (inputs + outputs) is the same for a matrix and its transpose, whichever a module uses.

    Reference: Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010.
    """
    role = roles(module)
    leaves, treedef = jax.tree.flatten(module)
    named = treedef.flatten_up_to(role)  # fields that are None are no leaves of either
    keys = jax.random.split(key, len(leaves))

    def drawn(leaf: Any, name: Any, key: Any) -> Any:
        if name is None or name in (SCALE, EMBEDDING) or not eqx.is_inexact_array(leaf):
            return leaf
        if name == BIAS or leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        field_size = leaf[0, 0].size if leaf.ndim > 2 else 1
        variance = 2.0 / (field_size * (leaf.shape[0] + leaf.shape[1]))
        return variance**0.5 * jax.random.normal(key, leaf.shape, leaf.dtype)

    drawn_leaves = [drawn(*each) for each in zip(leaves, named, keys, strict=True)]
    return jax.tree.unflatten(treedef, drawn_leaves)


def _relabelled(batch: PyTree, leaf: int, relabel: tuple[float, float]) -> PyTree:
    leaves, treedef = jax.tree.flatten(batch)
    values = leaves[leaf]
    leaves[leaf] = (values * relabel[0] + relabel[1]).astype(values.dtype)
    return jax.tree.unflatten(treedef, leaves)


def architecture_of(problem: Problem, name: str) -> bool:
    """Return whether the model is an architecture with a setting of this name."""
    return isinstance(problem.model, Architecture) and name in type(problem.model).described()
