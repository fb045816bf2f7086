"""The base of every named model: described settings, a short form, and a call that makes the module."""

import abc
from collections.abc import Sequence
from dataclasses import Field, fields
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


# Layers that a model can be asked to stack. Each is traced on its own: thousands take minutes to compile.
MOST_LAYERS = 1000


def sizes(default: tuple[int | None, ...], *, doc: str, source: str = "") -> Any:
    """Declare a field of all widths from input to output; the ends may be None (taken from the data)."""
    described = {"kind": "sizes", "doc": doc, "source": source}
    return eqx.field(default=default, static=True, converter=_as_widths, metadata=described)


class Architecture(Choice):
    """A factory `key -> Module` that can be written as text and read back.

    Final subclasses are registered in `ARCHITECTURES`; a run folder rebuilds the model from the name and the
    fields alone.

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
            raise ModelError(
                error.who, error.rule, got=error.got, hint=error.hint, cause=error.cause
            ) from None

    @abc.abstractmethod
    def __call__(self, key: Key[Array, ""]) -> eqx.Module:
        """Make the module: one example in, one output (logits or values) out."""

    @abc.abstractmethod
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> "Architecture":
        """Return this architecture with open sizes filled in from the data.

        Args:
            input_shape: Shape of one example.
            outputs: Number of classes, of target values, or of tokens in the vocabulary.

        Raises:
            ModelError: A size is given and does not fit; the message names the layer and both shapes.
        """

    def spec(self) -> str:
        """Return the short form that the command line takes, for example `mlp:512,activation=gelu`.

        `models.parse` is its inverse.
        """
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default and field.name != self.bare:
                continue
            text = _format_value(field.metadata.get("kind"), value)
            words.append(text if field.name == self.bare else f"{field.name}={text}")
        words = [word for word in words if word]
        return f"{self.name}:{','.join(words)}" if words else self.name

    def sizes_from_data(self, sizes: dict[str, int], input_shape: tuple[int, ...]) -> dict[str, int]:
        """Return sizes of the data, by field, after checking them against the sizes that are given.

        Args:
            sizes: Sizes of the data, by field.
            input_shape: Shape of one example, for the message.

        Raises:
            ModelError: A size is given, and the data have another.
        """
        for name, size in sizes.items():
            setting = getattr(self, name)
            if setting not in (None, size):
                got, hint = (
                    f"{size} from the data, shape {input_shape}",
                    f"leave {name} open to use the data's",
                )
                raise ModelError(self.name, f"{name} is {setting}", got=got, hint=hint)
        return sizes

    def required(self, *names: str) -> list[Any]:
        """Return the values of fields, none of which may be open.

        Raises:
            ModelError: One is still open: `fitted` was not called.
        """
        values = [getattr(self, name) for name in names]
        for name, value in zip(names, values, strict=True):
            if value is None or (isinstance(value, tuple) and None in value):
                rule = f"{name} must be known before the model is made"
                hint = "call fitted(input_shape, outputs) first"
                raise ModelError(self.name, rule, got=self.spec(), hint=hint)
        return values


def ends_in_activation(model: Any) -> bool:
    """Return whether an architecture applies an activation to its outputs, rather than end in a map."""
    return getattr(model, "output", "identity") != "identity"


def fill_ends(
    who: str, sizes: Sequence[int | None], inputs: int, outputs: int, input_shape: tuple[int, ...]
) -> tuple[int | None, ...]:
    """Return `sizes` with open ends filled in, after checking that the given ends fit.

    Args:
        who: Name of the architecture, for the message.
        sizes: All sizes from input to output.
        inputs, outputs: Sizes of the data.
        input_shape: Shape of one example, for the message.

    Raises:
        ModelError: An end does not fit; the message names the layer and both shapes.
    """
    first, *between, last = sizes
    hint = f"leave the ends open to use the data's: {who}:{','.join(map(str, between))}".rstrip(":")
    if first not in (None, inputs):
        rule, got = f"layers.0.weight takes {first} inputs", f"{inputs} from the data, shape {input_shape}"
        raise ModelError(who, rule, got=got, hint=hint)
    if last not in (None, outputs):
        rule, got = f"layers.{len(between)}.weight gives {last} outputs", f"{outputs} needed by the target"
        raise ModelError(who, rule, got=got, hint=hint)
    return (inputs, *between, outputs)


def image_shape(who: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of an image; a greyscale image has one channel.

    Raises:
        ModelError: The data are not images.
    """
    if len(input_shape) not in (2, 3):
        rule, hint = "takes images, height x width (x channels)", "use an mlp, which takes any shape"
        raise ModelError(who, rule, got=f"shape {input_shape} from the data", hint=hint)
    height, width, *channels = input_shape
    return height, width, channels[0] if channels else 1


def parse_value(field: Field[Any], text: str) -> Any:
    """Parse the value of a field from the short form.

    Raises:
        ValueError: The text is not a value of that kind.
    """
    kind = field.metadata.get("kind")
    if text == "none" and field.default is None:
        return None
    if kind == "sizes":
        if "-" in text.lstrip("-"):
            return tuple(None if word == "?" else int(word) for word in text.split("-"))
        return (None, *(int(word) for word in text.split(",")), None)
    if kind == "widths":
        return tuple(int(word) for word in text.split(","))
    if kind in ("integer", "number"):
        return int(text) if kind == "integer" else float(text)
    if any(isinstance(choice, bool) for choice in field.metadata.get("among", ())):
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _format_value(kind: str | None, value: Any) -> str:
    """Format the value of a field for the short form; the inverse of `parse_value`."""
    if kind == "sizes" and value[0] is None and value[-1] is None:
        return ",".join(map(str, value[1:-1]))
    if kind == "sizes":
        return "-".join("?" if item is None else str(item) for item in value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _as_widths(value: Any) -> Any:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return (int(value),)
    if isinstance(value, (list, tuple)):
        return tuple(int(item) if isinstance(item, np.integer) else item for item in value)
    return value


def _check_widths(who: str, name: str, value: Any, *, open_ends: bool) -> None:
    if not isinstance(value, tuple) or len(value) < (2 if open_ends else 1):
        rule = f"{name} must list {'all widths from input to output' if open_ends else 'at least one width'}"
        raise ModelError(
            who, rule, got=value, hint="for example [784, 512, 10]" if open_ends else "for example [64]"
        )
    for position, item in enumerate(value):
        if item is None and open_ends and position in (0, len(value) - 1):
            continue
        if not isinstance(item, int) or isinstance(item, bool) or item < 1:
            rule = f"{name} must be whole numbers of at least 1"
            raise ModelError(who, rule, got=item, hint="try 64")
