"""Several models with an objective each, trained in turn: adversarial training.

    Problem(
        models={"generator": Generator, "discriminator": Discriminator},
        data=x,
        objectives={"generator": fools, "discriminator": tells_apart},
        alternate={"discriminator": 2, "generator": 1},
    )

Every objective receives all models, `model["generator"]` or `model.generator`, and a batch of its own. Its
gradient reaches only the parameters of its own model, which have an optimizer state of their own; the
others stay as they are, whatever the optimizer (weight decay and momentum included).

Reference: Goodfellow et al., Generative Adversarial Nets, 2014 (k updates of the discriminator, then one of
the generator).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.models.adapter import PartitionedModel, is_factory
from thalweg.problem.objective import Measured, Objective, examined, mean


class Models(eqx.Module):
    """Several modules by name, as `models["name"]` or `models.name`."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def only(self, name: str) -> "Models":
        """Return the same tree with the leaves of one model; those of the others are None."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(
            **{
                each: part if each == name else jax.tree.map(lambda _: None, part)
                for each, part in parts.items()
            }
        )

    def replaced(self, name: str, part: PyTree) -> "Models":
        """Return the same tree with another model of this name."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(**(parts | {name: part}))


@cache
def _class_of(names: tuple[str, ...]) -> type[Models]:
    """Return the class with these fields, so that parameters are named `generator.layers.0.weight`."""
    return type("Models", (Models,), {"__annotations__": dict.fromkeys(names, Any)})


@dataclass(frozen=True)
class ModelsFactory:
    """A factory of several models: `key -> Models`.

    Args:
        factories: Name and factory `key -> Module` (or module) of each.
    """

    factories: tuple[tuple[str, Any], ...]

    @property
    def __name__(self) -> str:
        """The names of the models."""
        return " + ".join(name for name, _ in self.factories)

    def __call__(self, key: Key[Array, ""]) -> Models:
        """Make the modules, each from a key of its own."""
        made = {}
        for number, (name, factory) in enumerate(self.factories):
            made[name] = factory(jax.random.fold_in(key, number)) if is_factory(factory) else factory
        return _class_of(tuple(made))(**made)


@dataclass(frozen=True)
class Alternating(Objective):
    """The objectives of several models.

    While training, one of them is computed in each update. In an evaluation all are, and the loss is their
    sum, which by itself says little: a better discriminator makes the generator's loss worse.

    Args:
        players: Name and objective of each model.
        order: Whose turn it is in each update of a cycle, as positions in `players`.
    """

    name: ClassVar[str] = "alternating"

    players: tuple[tuple[str, Objective], ...] = ()
    order: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Names of the functions."""
        return ", ".join(f"{name}: {objective.label}" for name, objective in self.players)

    def turn(self, step: Int[Array, ""] | int) -> Int[Array, ""]:
        """Return whose turn it is, as a position in `players`."""
        return jnp.asarray(self.order, jnp.int32)[step % len(self.order)]

    def measure(
        self,
        model: PartitionedModel,
        batch: PyTree,
        key: Key[Array, ""],
        *,
        training: bool,
        step: Int[Array, ""] | int | None = None,
    ) -> Measured:
        """Compute the objective whose turn it is; without a step, all of them."""
        branches = [
            self._measured_by(position, model, batch, key, training) for position in range(len(self.players))
        ]
        if step is not None:
            loss, figures = jax.lax.switch(self.turn(step), branches)
            return Measured(loss, figures, model.model_state)
        all_of_them = [branch() for branch in branches]
        total = jnp.stack([loss for loss, _ in all_of_them]).sum()
        columns = zip(*(figures for _, figures in all_of_them), strict=True)
        return Measured(total, tuple(jnp.nansum(jnp.stack(each)) for each in columns), model.model_state)

    def _measured_by(
        self, position: int, model: PartitionedModel, batch: PyTree, key: Key[Array, ""], training: bool
    ) -> Callable[[], tuple[Array, tuple[Array, ...]]]:
        """Return a function of nothing that gives one player's loss and all figures: NaN for the others'."""
        name, objective = self.players[position]

        def measured() -> tuple[Array, tuple[Array, ...]]:
            params: Any = model.params
            own = jax.lax.stop_gradient(params).replaced(name, params[name])
            result = objective.measure(model._replace(params=own), batch, key, training=training)
            loss = mean(result.losses)
            values = dict(zip(objective.figures, map(mean, result.figures), strict=True)) | {
                f"{name}_loss": loss
            }
            unset = jnp.float32(jnp.nan)
            return loss, tuple(jnp.asarray(values.get(each, unset), jnp.float32) for each in self.figures)

        return measured


def factory_of(models: Any) -> ModelsFactory:
    """Return the factory of several models.

    Raises:
        ModelError: `models` does not name them.
    """
    if not isinstance(models, Mapping) or not models or not all(isinstance(name, str) for name in models):
        hint = "for example models={'generator': Generator, 'discriminator': Discriminator}"
        raise ModelError("problem", "models must name some models", got=type(models).__name__, hint=hint)
    for name in models:
        if not name.isidentifier() or hasattr(Models, name):
            rule, hint = "models must have names that Python allows for attributes", "for example generator"
            raise ModelError("problem", rule, got=name, hint=hint)
    return ModelsFactory(tuple(models.items()))


def alternating(
    objectives: Any, alternate: Any, model: ModelsFactory, example: PyTree
) -> tuple[Alternating, bool]:
    """Return the objective of several models, and whether it depends on the key.

    Args:
        objectives: A function for each model, as for `Objective`.
        alternate: For each model the number of updates in a cycle, in the order of the cycle; None: one each.
        model: The models.
        example: The batch's tree with shape and dtype of one row.

    Raises:
        ModelError: A model has no objective, an objective no model, or a number is impossible.
    """
    names = [name for name, _ in model.factories]
    _check_names("objectives", objectives, names)
    turns = dict.fromkeys(names, 1) if alternate is None else alternate
    _check_names("alternate", turns, names)
    players, noisy, figures = [], False, []
    for name in names:
        objective, depends = examined(objectives[name], model, example)
        if "state" in objective.takes:
            hint = "use a norm without running statistics, such as layer norm"
            raise ModelError("objective", "of several models takes no state", got=objective.label, hint=hint)
        players.append((name, objective))
        figures += [f"{name}_loss", *objective.figures]
        noisy |= depends
    if len(set(figures)) < len(figures):
        repeated = sorted({each for each in figures if figures.count(each) > 1})
        hint = "give the figures of each objective names of their own"
        raise ModelError("objective", "figures must have different names", got=repeated, hint=hint)
    order = tuple(names.index(name) for name, count in turns.items() for _ in range(_count(name, count)))
    function = tuple(objective.function for _, objective in players)
    return Alternating(function, ("key",), False, tuple(figures), tuple(players), order), noisy  # type: ignore[arg-type]


def _check_names(who: str, given: Any, names: list[str]) -> None:
    if not isinstance(given, Mapping):
        hint = f"for example {who}={{{names[0]!r}: ...}}"
        raise ModelError(
            "problem", f"{who} must have an entry for each model", got=type(given).__name__, hint=hint
        )
    for name in given:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise ModelError("problem", f"{who} must name the models", got=name, hint=hint)
    for name in names:
        if name not in given:
            hint = f"add {name!r} to {who}"
            raise ModelError(
                "problem", f"{who} must have an entry for each model", got=sorted(given), hint=hint
            )


def _count(name: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1000:
        rule = "alternate must be whole numbers of updates, from 1 to 1000"
        raise ModelError("problem", rule, got=count, where=name, hint="try 1")
    return count
