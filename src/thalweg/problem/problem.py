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
from thalweg.problem.models import Architecture, check, default_model
from thalweg.problem.models.adapter import PartitionedModel, build
from thalweg.problem.models.checks import ModelCheck


@dataclass(frozen=True)
class Problem:
    """A model, data and a loss.

    Args:
        model: An architecture (`MLP([784, 512, 10])`), a factory `key -> equinox.Module` (each seed has its
            own initial weights), or an `equinox.Module` (every lane has the same initial weights). None: a
            sensible default for the data (`models.default_model`).
        data: The result of `load`, or anything that `load` takes.
        loss: A registered loss, its name, or a function `(outputs, targets) -> per-example losses`.
            None: inferred from the task. With `binary_cross_entropy` or `hinge`, a model of two classes may
            have one output, the logit of the second class.
        metric: The same for the metric. None: accuracy or root mean squared error.

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
    _check: ModelCheck = field(init=False, repr=False, compare=False)
    _shapes: dict[bool, PartitionedModel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        data = self.data if isinstance(self.data, Data) else load(self.data)
        loss = default_loss(data.task) if self.loss is None else as_loss(self.loss)
        metric = default_metric(data.task) if self.metric is None else as_metric(self.metric)
        model = self.model
        counts = loss.output_counts(data.task, data.outputs)
        if model is None:
            model = default_model(data.task, data.input_shape, data.train.count(), counts[0])
        model, checked = _fit_model(model, data, counts, loss.takes_logits)
        if data.train.weighted and not isinstance(loss, Weighted):
            loss, metric = Weighted(loss), weighted_metric(metric)
        values = {"data": data, "loss": loss, "metric": metric, "model": model, "_check": checked}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def model_spec(self) -> str:
        """The model in one line: `mlp:512`, or the name of a class or function of the user."""
        if isinstance(self.model, Architecture):
            return self.model.spec()
        return getattr(self.model, "__name__", type(self.model).__name__)

    @property
    def noisy(self) -> bool:
        """Whether outputs of the model depend on its key during training."""
        return self._check.noisy

    @property
    def output(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the model's output for one example."""
        return self._check.output

    @property
    def shapes(self) -> PartitionedModel:
        """The model as shapes: nothing is computed; it is traced once per precision (`jax_enable_x64`)."""
        wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
        if wide not in self._shapes:
            self._shapes[wide] = eqx.filter_eval_shape(build, self.model, keys.lane_key(0))
        return self._shapes[wide]


def _fit_model(model: Any, data: Data, counts: tuple[int, ...], logits: bool) -> tuple[Any, ModelCheck]:
    """Return the model fitted to the data with the first of these numbers of outputs that it accepts.

    Raises:
        ModelError: It accepts none; the error is that of the first number.
    """
    errors = []
    for count in counts:
        try:
            fitted = model.fitted(data.input_shape, count) if isinstance(model, Architecture) else model
            return fitted, check(fitted, _example_shape(data), data.task, count, logits=logits)
        except ModelError as error:
            errors.append(error)
    raise errors[0]


def _example_shape(data: Data) -> PyTree:
    """Return the shape and dtype of one example, as the model receives it."""
    rows = jax.ShapeDtypeStruct((1,), "int32")
    batch = jax.eval_shape(lambda rows: data.preparation.scale(data.train.batch(rows)[0]), rows)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
