"""Parameter groups: parameters, by path or role, with their own learning rate or decay, or frozen."""

from collections.abc import Hashable, Mapping
from fnmatch import fnmatchcase
from typing import ClassVar

import equinox as eqx
import jax
import optax
from jaxtyping import PyTree

from thalweg.core.choice import Choice, number, option
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.tree import paths
from thalweg.recipe.optimizers import Optimizer

# The label of parameters that belong to no group.
REST = -1


class ParamGroup(Choice):
    """Parameters that are trained differently from the rest.

    A parameter belongs to the first group whose `pattern` and `role` both match it. Frozen parameters have no
    optimizer state. A group's own `weight_decay` applies to all of its parameters, also to
    biases and scales.

    Example:
        >>> ParamGroup(pattern="backbone.*", lr_factor=0.1), ParamGroup(role="bias", weight_decay=0.0)
    """

    name: ClassVar[str] = "group"
    refused: ClassVar[Mapping[str, str]] = {
        "lr": "a group has lr_factor, so that a sweep of lr moves all groups"
    }

    pattern: str = option("*", doc="Path of parameters, with * and ?: layers.0.* or *.bias.")
    role: str = option("*", doc="Role of parameters: matrix, kernel, embedding, bias, scale, ...; * is any.")
    lr_factor: float = number(1.0, low=0.0, doc="Factor of the learning rate.")
    weight_decay: float | None = number(
        None, low=0.0, optional=True, doc="Weight decay in place of the optimizer's."
    )
    frozen: bool = option(False, among=(False, True), doc="Do not train these parameters.")

    def matches(self, path: str, role: str) -> bool:
        """Return whether a parameter belongs to this group."""
        return fnmatchcase(path, self.pattern) and self.role in ("*", role)

    def rule(self, optimizer: Optimizer, roles: PyTree) -> optax.GradientTransformationExtraArgs:
        """Return the optimizer's rule for this group's parameters, whose roles these are."""
        if self.frozen:
            return optax.with_extra_args_support(optax.set_to_zero())
        scaled = optimizer.scaled(self.lr_factor)
        if self.weight_decay is None:
            return scaled.transform(roles)
        changed = eqx.tree_at(
            lambda rule: rule.weight_decay, scaled, self.weight_decay, is_leaf=lambda leaf: leaf is None
        )
        return changed.transform(roles, mask=jax.tree.map(lambda _: True, roles))


GROUPS: dict[str, type[ParamGroup]] = {ParamGroup.name: ParamGroup}


def grouped_rule(
    optimizer: Optimizer, groups: tuple[ParamGroup, ...], roles: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Return one rule for all parameters, which treats those of each group as the group says.

    Args:
        optimizer: Its rule applies to parameters that belong to no group.
        groups: At least one.
        roles: The role of every parameter (`core.tree.roles`).

    Raises:
        RecipeError: A group has no parameter.
    """
    labels = _labels(groups, roles)
    rules: dict[Hashable, optax.GradientTransformation] = {
        index: group.rule(optimizer, _roles_of(index, labels, roles)) for index, group in enumerate(groups)
    }
    rules[REST] = optimizer.transform(_roles_of(REST, labels, roles))
    # A function, because Optax would call a tree of labels that is itself a callable module.
    return optax.partition(rules, lambda params: labels)


def within(groups: tuple[ParamGroup, ...], roles: PyTree) -> tuple[ParamGroup, ...]:
    """Return the groups that have a parameter among those of one of several models."""
    members = list(zip(paths(roles), jax.tree.leaves(roles), strict=True))
    first = [next((group for group in groups if group.matches(*member)), None) for member in members]
    return tuple(group for group in groups if any(each is group for each in first))


def _labels(groups: tuple[ParamGroup, ...], roles: PyTree) -> PyTree:
    """Return the index of each parameter's group, or `REST`."""
    flat, treedef = jax.tree.flatten(roles)
    names = paths(roles)
    labels = [
        next((index for index, group in enumerate(groups) if group.matches(name, role)), REST)
        for name, role in zip(names, flat, strict=True)
    ]
    for index, group in enumerate(groups):
        if index not in labels:
            raise RecipeError(
                "recipe.groups",
                "every group must have a parameter that no group before it has",
                got=f"pattern={group.pattern!r}, role={group.role!r}",
                hint=did_you_mean(group.pattern, names),
            )
    return jax.tree.unflatten(treedef, labels)


def _roles_of(index: int, labels: PyTree, roles: PyTree) -> PyTree:
    """Keep the roles of one group; the others become Optax's placeholder for their parameters."""
    return jax.tree.map(lambda label, role: role if label == index else optax.MaskedNode(), labels, roles)
