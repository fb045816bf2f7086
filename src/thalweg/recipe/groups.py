"""Parameter groups: parameters, by path or role, with their own rate or decay, adapted, or frozen."""

from collections.abc import Hashable, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from thalweg.core.choice import Choice, integer, number, option
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.tree import paths
from thalweg.recipe.adapters import ADAPTABLE, LORA, expanded
from thalweg.recipe.optimizers import Optimizer

# The labels of parameters that belong to no group, and of those that a group with an adapter leaves as they
# are: its vectors.
REST, LEFT = -1, -2


class ParamGroup(Choice):
    """Parameters that are trained differently from the rest.

    A parameter belongs to the first group whose `pattern` and `role` both match it. Frozen parameters have no
    optimizer state. A group's own `weight_decay` applies to all of its parameters, also to
    biases and scales.

    With `adapter="lora"` each matrix of the group is trained by the product of two thin ones that is added to
    it (`recipe.adapters`), the group's vectors stay as they are, and the optimizer's state has the size of
    the thin ones. `pattern="*"` trains nothing but adapters.

    Example:
        >>> ParamGroup(pattern="backbone.*", lr_factor=0.1), ParamGroup(role="bias", weight_decay=0.0)
        >>> ParamGroup(pattern="blocks.*", adapter="lora", rank=8)
    """

    name: ClassVar[str] = "group"
    refused: ClassVar[Mapping[str, str]] = {
        "lr": "a group has lr_factor, so that a sweep of lr moves all groups",
        "match": "a group says which parameters it has by pattern (their path) and role",
    }

    pattern: str = option("*", doc="Path of parameters, with * and ?: layers.0.* or *.bias.")
    role: str = option("*", doc="Role of parameters: matrix, kernel, embedding, bias, scale, ...; * is any.")
    lr_factor: float = number(1.0, low=0.0, doc="Factor of the learning rate.")
    weight_decay: float | None = number(
        None, low=0.0, optional=True, doc="Weight decay in place of the optimizer's."
    )
    frozen: bool = option(False, among=(False, True), doc="Do not train these parameters.")
    adapter: str = option(
        "none",
        among=("none", LORA),
        doc="Train thin matrices whose product is added to each matrix, and nothing else of the group.",
        source="Hu et al. 2021",
    )
    rank: int | None = integer(
        None, low=1, optional=True, doc="Rows of an adapter's thin matrices; 8 if an adapter has none."
    )
    alpha: float | None = number(
        None,
        low=0.0,
        open_low=True,
        optional=True,
        doc="The product is multiplied by alpha/rank; 1 without it.",
        source="Hu et al. 2021",
    )

    def __check_init__(self) -> None:
        super().__check_init__()
        given = {name: getattr(self, name) for name in ("rank", "alpha") if getattr(self, name) is not None}
        if self.adapter == "none" and given:
            rule, hint = "rank and alpha are those of an adapter", "add adapter = 'lora', or leave them out"
            raise RecipeError(self.name, rule, got=", ".join(f"{k}={v}" for k, v in given.items()), hint=hint)
        if self.adapter != "none" and self.frozen:
            rule, hint = "an adapter is trained, and its matrix is frozen already", "leave frozen out"
            raise RecipeError(self.name, rule, got="frozen and an adapter", hint=hint)

    @property
    def is_adapted(self) -> bool:
        """Whether its matrices are trained by adapters."""
        return self.adapter != "none"

    @property
    def ranks(self) -> int:
        """The rank of its adapters."""
        return RANK if self.rank is None else self.rank

    @property
    def scale(self) -> Any:
        """What the product of an adapter is multiplied by; may be traced."""
        return 1.0 if self.alpha is None else self.alpha / self.ranks

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


# As in the paper's code and in PEFT.
RANK = 8
GROUPS: dict[str, type[ParamGroup]] = {ParamGroup.name: ParamGroup}


def grouped_rule(
    optimizer: Optimizer, groups: tuple[ParamGroup, ...], roles: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Return one rule for all parameters, which treats those of each group as the group says.

    Args:
        optimizer: Its rule applies to parameters that belong to no group.
        groups: At least one.
        roles: The role of every parameter (`core.tree.roles`). The rule takes the parameters as
            `adapters.trained` gives them: factors in the place of each matrix that is adapted.

    Raises:
        RecipeError: A group has no parameter.
    """
    labels = _labels(groups, roles)
    adapted = jax.tree.map(lambda label: label >= 0 and groups[label].is_adapted, labels)
    labels, roles = expanded(labels, adapted), expanded(roles, adapted)
    rules: dict[Hashable, optax.GradientTransformation] = {
        index: group.rule(optimizer, _roles_of(index, labels, roles)) for index, group in enumerate(groups)
    }
    rules[REST] = optimizer.transform(_roles_of(REST, labels, roles))
    if any(group.is_adapted for group in groups):
        rules[LEFT] = optax.set_to_zero()
    # A function, because Optax would call a tree of labels that is itself a callable module.
    return optax.partition(rules, lambda params: labels)


def adapted_by(groups: tuple[ParamGroup, ...], roles: PyTree) -> dict[str, ParamGroup]:
    """Return the group of every parameter that is adapted, by its path."""
    if not any(group.is_adapted for group in groups):
        return {}
    labels = jax.tree.leaves(_labels(groups, roles))
    members = zip(paths(roles), labels, strict=True)
    return {path: groups[label] for path, label in members if label >= 0 and groups[label].is_adapted}


def without_frozen(grads: PyTree, groups: tuple[ParamGroup, ...], roles: PyTree) -> PyTree:
    """Return the gradient with zeros for what is not trained, so that it does not count in a norm."""

    def kept(grad: Any, label: int) -> Any:
        frozen = label == LEFT or (label >= 0 and groups[label].frozen)
        return jnp.zeros_like(grad) if frozen else grad

    return jax.tree.map(kept, grads, _labels(groups, roles))


def within(groups: tuple[ParamGroup, ...], roles: PyTree) -> tuple[ParamGroup, ...]:
    """Return the groups that have a parameter among those of one of several models."""
    members = list(zip(paths(roles), jax.tree.leaves(roles), strict=True))
    first = [next((group for group in groups if group.matches(*member)), None) for member in members]
    return tuple(group for group in groups if any(each is group for each in first))


def _labels(groups: tuple[ParamGroup, ...], roles: PyTree) -> PyTree:
    """Return the index of each parameter's group, `REST`, or `LEFT`."""
    flat, treedef = jax.tree.flatten(roles)
    names = paths(roles)

    def label(path: str, role: str) -> int:
        index = next((index for index, group in enumerate(groups) if group.matches(path, role)), REST)
        return LEFT if index != REST and groups[index].is_adapted and role not in ADAPTABLE else index

    labels = [label(name, role) for name, role in zip(names, flat, strict=True)]
    for index, group in enumerate(groups):
        if index not in labels:
            rule = "every group must have a parameter that no group before it has"
            rule += ", and one with an adapter a matrix" if group.is_adapted else ""
            raise RecipeError(
                "recipe.groups",
                rule,
                got=f"pattern={group.pattern!r}, role={group.role!r}",
                hint=did_you_mean(group.pattern, names),
            )
    return jax.tree.unflatten(treedef, labels)


def _roles_of(index: int, labels: PyTree, roles: PyTree) -> PyTree:
    """Keep the roles of one group; the others become Optax's placeholder for their parameters."""
    return jax.tree.map(lambda label, role: role if label == index else optax.MaskedNode(), labels, roles)
