"""Models by name: the registry of architectures, their short form `mlp:512`, and the default model.

Any Equinox module is a model as well, through `models.adapter`.
"""

import math
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.models.architecture import Architecture, parse_value
from thalweg.problem.models.checks import check
from thalweg.problem.models.cnn import CNN
from thalweg.problem.models.gpt import GPT
from thalweg.problem.models.mlp import MLP, LinearModel
from thalweg.problem.models.recurrent import GRU, LSTM, RNN
from thalweg.problem.models.resnet_vgg import VGG, ResNet
from thalweg.problem.models.tabular import Tabular

_ALL = (LinearModel, MLP, Tabular, CNN, VGG, ResNet, RNN, LSTM, GRU, GPT)
ARCHITECTURES: dict[str, type[Architecture]] = {kind.name: kind for kind in _ALL}

# Logistic regression is the linear model under cross-entropy.
ALIASES = {"logistic": "linear"}

# With fewer examples a network memorises them unless most of its units are dropped at every step.
FEW_EXAMPLES = 2_000
# With so few inputs there is little to memorise, and curves in the plane need all units (spirals: 70 % with
# dropout 0.5, 99.5 % without and with more updates).
FEW_INPUTS = 4
# Pixels of an image up to which a layer over all of them is quick, and the side that three poolings need.
SMALL_IMAGE, LEAST_SIDE = 32 * 32, 8


def parse(text: str) -> Architecture:
    """Parse a model from its short form; the inverse of `Architecture.spec`.

    The form is `NAME[:VALUE,...][,SETTING=VALUE,...]`. Values without a name are the architecture's main
    setting: hidden widths of an `mlp` or, with dashes, all its widths, `mlp:784-512-10`.

    Args:
        text: For example `mlp:512,activation=gelu`, `mlp:256,256,skip=true` or `resnet:18`.

    Raises:
        ModelError: The name or a setting is unknown (with the nearest known one), or a value is impossible.
    """
    name, _, rest = str(text).strip().partition(":")
    name = ALIASES.get(name.strip(), name.strip())
    if name not in ARCHITECTURES:
        hint = did_you_mean(name, [*ARCHITECTURES, *ALIASES])
        raise ModelError("model", "must be a known architecture", got=text, hint=hint)
    kind = ARCHITECTURES[name]
    bare, named = _split_settings(rest)
    if bare:
        if not kind.bare:
            example = f"{name}:{next(iter(kind.described()))}=VALUE"
            raise ModelError(name, "takes only settings with a name", got=text, hint=f"for example {example}")
        named = {kind.bare: ",".join(bare)} | named
    return kind(**_parse_settings(kind, named, text))


@checked(ModelError)
def default_model(
    task: str, input_shape: tuple[int, ...], count: int, outputs: int, *, images: bool = False
) -> Architecture:
    """Return a sensible model for data of this shape.

    Language: the small GPT. Images above 32 x 32 pixels: three convolutions, because a layer over all pixels
    of a photograph has millions of weights for each hundred units. Smaller images, and other inputs of two or
    three axes: one hidden layer of 512 units, as in textbooks.
    Tables: two of 256 with dropout 0.3 (0.1 for regression, whose outputs suffer from the noise; 0.5 below
    2,000 examples). Chosen on digits, california_housing, titanic and adult; `python -m benchmarks run
    defaults` shows the results there.

    Args:
        task: `classification`, `regression` or `language`.
        input_shape: Shape of one example.
        count: Number of training examples.
        outputs: Number of classes, of target values, or of tokens in the vocabulary.
        images: Whether the inputs are known to be images.

    Returns:
        The architecture, its open sizes filled in.
    """
    if task == "language":
        return GPT().fitted(input_shape, outputs)
    if images and min(input_shape[:2]) >= LEAST_SIDE and math.prod(input_shape[:2]) > SMALL_IMAGE:
        return CNN((16, 32, 64), normalisation="batch").fitted(input_shape, outputs)
    if len(input_shape) >= 2:
        return MLP([None, 512, None]).fitted(input_shape, outputs)
    dropout = 0.1 if task == "regression" else 0.5 if count < FEW_EXAMPLES else 0.3
    dropout = 0.0 if math.prod(input_shape) <= FEW_INPUTS else dropout
    return MLP([None, 256, 256, None], dropout=dropout).fitted(input_shape, outputs)


def _split_settings(text: str) -> tuple[list[str], dict[str, str]]:
    """Split the settings of a short form into values without a name and values by name."""
    bare, named = [], {}
    for word in filter(None, (item.strip() for item in text.split(","))):
        key, equals, value = word.partition("=")
        if equals:
            named[key.strip().replace("-", "_")] = value.strip()
        else:
            bare.append(word)
    return bare, named


def _parse_settings(kind: type[Architecture], named: dict[str, str], text: str) -> dict[str, Any]:
    known = kind.described()
    settings = {}
    for key, value in named.items():
        if key not in known:
            raise ModelError(kind.name, f"has no setting {key!r}", got=text, hint=did_you_mean(key, known))
        try:
            settings[key] = parse_value(known[key], value)
        except ValueError:
            got, doc = f"{value!r} in {text!r}", known[key].metadata.get("doc")
            raise ModelError(kind.name, f"cannot read {key}", got=got, hint=f"{key}: {doc}") from None
    return settings


__all__ = [
    "ALIASES",
    "ARCHITECTURES",
    "CNN",
    "GPT",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "VGG",
    "Architecture",
    "LinearModel",
    "ResNet",
    "Tabular",
    "check",
    "default_model",
    "parse",
]
