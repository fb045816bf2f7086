"""What every named model is: described choices, and a call that makes the module from a key."""

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Key

from thalweg.core.choice import Choice


class Architecture(Choice):
    """A factory `key -> Module` that can be written down and read back.

    Final subclasses are registered in `problem/models/__init__.py`; a run folder rebuilds the model from the name
    and the fields alone.
    """

    when: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, key: Key[Array, ""]) -> eqx.Module:
        """Make the module: one example in, one output (logits or values) out."""

    @abc.abstractmethod
    def spec(self) -> str:
        """Return the short form that the command line takes, for example `mlp:512`."""

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> "Architecture":
        """Return this architecture with sizes that were left open filled in from the data.

        Args:
            input_shape: Shape of one example.
            outputs: Classes, or target values.

        Raises:
            ModelError: Sizes were given and do not fit; the message names the layer and both shapes.
        """
        del input_shape, outputs
        return self
