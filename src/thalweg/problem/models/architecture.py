"""What every named model is: described choices, and a call that makes the module from a key."""

import abc
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key

from thalweg.core.choice import Choice
from thalweg.core.errors import ModelError, RecipeError


def widths(default: tuple[int, ...], *, doc: str, source: str = "") -> Any:
    """Declare a field of one or more layer widths, each at least 1."""
    described = {"kind": "widths", "doc": doc, "source": source}
    return eqx.field(default=default, static=True, converter=_as_widths, metadata=described)


def sizes(default: tuple[int | None, ...], *, doc: str, source: str = "") -> Any:
    """Declare a field of all widths from input to output; the ends may be None (from the data)."""
    described = {"kind": "sizes", "doc": doc, "source": source}
    return eqx.field(default=default, static=True, converter=_as_widths, metadata=described)


class Architecture(Choice):
    """A factory `key -> Module` that can be written down and read back.

    Final subclasses are registered in `problem/models/registry.py`; a run folder rebuilds the model from
    the name and the fields alone.

    Class attributes:
        name: Standard name in lower case, as on the command line.
        bare: The field that values without a name fill: `mlp:512` is `mlp:sizes=512`. Empty: none.
        formula: What it computes, in plain text.
        when: When to use it, one sentence.
        reference: Authors, title, year.
    """

    bare: ClassVar[str] = ""
    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]

    def __check_init__(self) -> None:
        for field in fields(self):
            kind = field.metadata.get("kind")
            if kind in ("widths", "sizes"):
                _check_widths(self.name, field.name, getattr(self, field.name), open_ends=kind == "sizes")
        try:
            Choice.__check_init__(self)
        except RecipeError as error:
            raise ModelError(error.who, error.rule, got=error.got, hint=error.hint) from None

    @abc.abstractmethod
    def __call__(self, key: Key[Array, ""]) -> eqx.Module:
        """Make the module: one example in, one output (logits or values) out."""

    @abc.abstractmethod
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> "Architecture":
        """Return this architecture with sizes that were left open filled in from the data.

        Args:
            input_shape: Shape of one example.
            outputs: Classes, target values, or the vocabulary.

        Raises:
            ModelError: Sizes were given and do not fit; the message names the layer and both shapes.
        """

    def spec(self) -> str:
        """Return the short form that the command line takes, for example `mlp:512,activation=gelu`.

        `problem.models.spec.parse` is its inverse.
        """
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default and field.name != self.bare:
                continue
            text = _written(field.metadata.get("kind"), value)
            words.append(text if field.name == self.bare else f"{field.name}={text}")
        words = [word for word in words if word]
        return f"{self.name}:{','.join(words)}" if words else self.name


def fill(who: str, given: Sequence[int | None], inputs: int, outputs: int, shape: tuple[int, ...]) -> tuple:
    """Return `given` with open ends filled in, after checking that ends which are given fit.

    Args:
        who: The architecture, for the message.
        given: All sizes from input to output.
        inputs, outputs: What the data have.
        shape: Shape of one example, for the message.

    Raises:
        ModelError: An end does not fit; the message names the layer and both shapes.
    """
    first, *between, last = given
    hint = f"leave the ends open, and the data decide: {who}:{','.join(map(str, between))}".rstrip(":")
    if first not in (None, inputs):
        rule, got = f"layers.0.weight takes {first} inputs", f"{inputs} from the data, shape {shape}"
        raise ModelError(who, rule, got=got, hint=hint)
    if last not in (None, outputs):
        rule, got = f"layers.{len(between)}.weight gives {last} outputs", f"{outputs} wanted by the target"
        raise ModelError(who, rule, got=got, hint=hint)
    return (inputs, *between, outputs)


def completed(given: Architecture, found: dict[str, int], input_shape: tuple[int, ...]) -> dict[str, int]:
    """Return `found` after checking it against the sizes that an architecture was given.

    Args:
        given: The architecture; a field of None is open.
        found: Sizes of the data, by field.
        input_shape: Shape of one example, for the message.

    Raises:
        ModelError: A size was given, and the data have another.
    """
    for name, value in found.items():
        if getattr(given, name) not in (None, value):
            rule, got = f"{name} is {getattr(given, name)}", f"{value} from the data, shape {input_shape}"
            raise ModelError(given.name, rule, got=got, hint=f"leave {name} open, and the data decide")
    return found


def known(given: Architecture, *names: str) -> list[int]:
    """Return fields of an architecture, none of which may be open.

    Raises:
        ModelError: One is still open: nobody called `fitted`.
    """
    values = [getattr(given, name) for name in names]
    if None in values:
        rule = f"{names[values.index(None)]} must be known before the model is made"
        raise ModelError(given.name, rule, got=given.spec(), hint="call fitted(input_shape, outputs) first")
    return values


def image_shape(who: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of an image; a grey one has one channel.

    Raises:
        ModelError: The data are no images.
    """
    if len(input_shape) not in (2, 3):
        rule, hint = "takes images, height x width (x channels)", "an mlp takes any shape"
        raise ModelError(who, rule, got=f"shape {input_shape} from the data", hint=hint)
    height, width, *channels = input_shape
    return height, width, channels[0] if channels else 1


def _as_widths(value: Any) -> Any:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return (int(value),)
    if isinstance(value, (list, tuple)):
        return tuple(int(item) if isinstance(item, np.integer) else item for item in value)
    return value


def _check_widths(who: str, name: str, value: Any, *, open_ends: bool) -> None:
    if not isinstance(value, tuple) or len(value) < (2 if open_ends else 1):
        rule = f"{name} must list {'all widths from input to output' if open_ends else 'at least one width'}"
        raise ModelError(who, rule, got=value, hint="for example [784, 512, 10]" if open_ends else None)
    for place, item in enumerate(value):
        if item is None and open_ends and place in (0, len(value) - 1):
            continue
        if not isinstance(item, int) or isinstance(item, bool) or item < 1:
            raise ModelError(who, f"{name} must be whole numbers of at least 1", got=list(value))


def _written(kind: str | None, value: Any) -> str:
    """Write a field's value as the command line takes it."""
    if kind == "sizes" and value[0] is None and value[-1] is None:
        return ",".join(map(str, value[1:-1]))
    if kind == "sizes":
        return "-".join("?" if item is None else str(item) for item in value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
