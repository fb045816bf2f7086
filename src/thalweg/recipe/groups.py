"""Parameter groups: another learning rate, another decay, or none at all, by path or by role."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import ClassVar

import jax
from jaxtyping import PyTree

from thalweg.core.choice import Choice, number, option
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.tree import paths

# The label of parameters that no group names.
REST = -1


class ParamGroup(Choice):
    """Parameters treated apart from the rest.

    A parameter belongs to the first group whose `pattern` and `role` both match it. Frozen parameters have no
    optimizer state. A group's own `weight_decay` touches all of its parameters, biases and scales too: it has
    been asked for.

    Example:
        >>> Group(pattern="backbone.*", lr_factor=0.1), Group(role="bias", weight_decay=0.0)
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
    frozen: bool = option(False, among=(False, True), doc="Leave these parameters as they are.")

    def matches(self, path: str, role: str) -> bool:
        """Tell whether a parameter belongs here."""
        return fnmatchcase(path, self.pattern) and self.role in ("*", role)


GROUPS: dict[str, type[ParamGroup]] = {ParamGroup.name: ParamGroup}


def labels(groups: tuple[ParamGroup, ...], roles: PyTree) -> PyTree:
    """Return the number of each parameter's group, or `REST`.

    Raises:
        RecipeError: A group has no parameter, for it is misspelt or stands behind one that takes them all.
    """
    flat, treedef = jax.tree.flatten(roles)
    names = paths(roles)
    found = [_first(groups, name, role) for name, role in zip(names, flat, strict=True)]
    for index, group in enumerate(groups):
        if index not in found:
            raise RecipeError(
                "recipe.groups",
                "every group must have a parameter; none is left for this one",
                got=f"pattern={group.pattern!r}, role={group.role!r}",
                hint=did_you_mean(group.pattern, names),
            )
    return jax.tree.unflatten(treedef, found)


def _first(groups: tuple[ParamGroup, ...], name: str, role: str) -> int:
    return next((index for index, group in enumerate(groups) if group.matches(name, role)), REST)
