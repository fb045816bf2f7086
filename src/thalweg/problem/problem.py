"""`Problem`: what is learned. A model, data, a loss and a metric."""

from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.errors import ModelError
from thalweg.problem.data.data import Data
from thalweg.problem.data.load import load
from thalweg.problem.losses import Weighted, as_loss, as_metric, default_loss, default_metric, weighted_metric
from thalweg.problem.models.adapter import PartitionedModel, build
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.checks import Fit, check
from thalweg.problem.models.default import default_model


@dataclass(frozen=True)
class Problem:
    """A model, data and a loss.

    Args:
        model: An architecture (`MLP([784, 512, 10])`), a factory `key -> equinox.Module` (each seed gets
            its own start), or a ready `equinox.Module` (every lane gets the same start). None: a sensible
            default for the data (`problem.models.default`).
        data: What `load` gave, or anything that `load` takes.
        loss: A registered loss, its name, or a function `(outputs, targets) -> per-example losses`.
            None: inferred from the task. Two classes take a model with one output, the logit of the second
            class, where the loss is made for it: `binary_cross_entropy`, `hinge`.
        metric: Likewise; what people read. None: accuracy or root mean squared error.

    Raises:
        DataError: The data cannot be used.
        ModelError: The model does not fit the data; the message names the layer and both shapes.

    Example:
        >>> import thalweg as tw
        >>> problem = tw.Problem(tw.MLP([64, 32, 10]), "digits")
    """

    model: Any
    data: Any
    loss: Any = None
    metric: Any = None
    _fit: Fit = field(init=False, repr=False, compare=False)
    _traced: dict[bool, PartitionedModel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        data = self.data if isinstance(self.data, Data) else load(self.data)
        loss = default_loss(data.task) if self.loss is None else as_loss(self.loss)
        metric = default_metric(data.task) if self.metric is None else as_metric(self.metric)
        model = self.model
        widths = loss.output_counts(data.task, data.outputs)
        if model is None:
            model = default_model(data.task, data.input_shape, data.train.count(), widths[0])
        model, fit = _fitted(model, data, widths, loss.takes_logits)
        if data.train.weighted and not isinstance(loss, Weighted):
            loss, metric = Weighted(loss), weighted_metric(metric)
        found = {"data": data, "loss": loss, "metric": metric, "model": model, "_fit": fit}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def model_spec(self) -> str:
        """The model in one line: `mlp:512`, or the class's name when it is not one of ours."""
        if isinstance(self.model, Architecture):
            return self.model.spec()
        return getattr(self.model, "__name__", type(self.model).__name__)

    @property
    def noisy(self) -> bool:
        """Whether the model's outputs depend, while it is trained, on the key that it is called with."""
        return self._fit.noisy

    @property
    def output(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the model's output for one example."""
        return self._fit.output

    @property
    def shapes(self) -> PartitionedModel:
        """The model's module as shapes: nothing is computed, and the model is traced once, for as long as
        JAX's setting of 64-bit numbers stays.
        """
        wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
        if wide not in self._traced:
            self._traced[wide] = eqx.filter_eval_shape(build, self.model, keys.lane_key(0))
        return self._traced[wide]


def _fitted(model: Any, data: Data, widths: tuple[int, ...], logits: bool) -> tuple[Any, Fit]:
    """Return a model that fits the data with one of these numbers of outputs, and how; the first refusal
    counts.
    """
    refused = []
    for width in widths:
        try:
            fitted = model.fitted(data.input_shape, width) if isinstance(model, Architecture) else model
            return fitted, check(fitted, _example(data), data.task, width, logits=logits)
        except ModelError as error:
            refused.append(error)
    raise refused[0]


def _example(data: Data) -> PyTree:
    """Return the shape and dtype of one example, as the model is given it."""
    first = jax.ShapeDtypeStruct((1,), "int32")
    batch = jax.eval_shape(lambda rows: data.preparation.scale(data.train.batch(rows)[0]), first)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
