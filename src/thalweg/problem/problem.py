"""`Problem`: what is learned. A model, data, a loss and a metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import FunctionType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core import keys
from thalweg.core.caller import option
from thalweg.core.compiler import filter_jit
from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.data.data import EXAMPLES, HEADS, LANGUAGE, MULTILABEL, REGRESSION, Data
from thalweg.problem.data.examples import examples, is_tree
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.load import load
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.problem.heads import with_heads
from thalweg.problem.losses import (
    MEANINGS,
    Loss,
    Metric,
    Weighted,
    as_loss,
    as_metric,
    check_task,
    default_loss,
    default_metric,
    reading,
    unweighted,
    weighted_metric,
)
from thalweg.problem.losses.outputs import LOG_RATES, LOGITS, PROBABILITIES, SCORES, VALUES, quantile_levels
from thalweg.problem.losses.probe import FREE, range_of, settle, settle_labels
from thalweg.problem.models import Architecture, check, default_model, parse
from thalweg.problem.models.adapter import PartitionedModel, apply, build
from thalweg.problem.models.architecture import ends_in_activation
from thalweg.problem.models.checks import ModelCheck, reject_activation
from thalweg.problem.objective import Objective, as_batch, as_function, examined, metric_of
from thalweg.problem.players import Alternating, ModelsFactory, alternating, factory_of
from thalweg.problem.targets import for_loss, with_class_weights

# What may select weights.
LOSS, METRIC = "loss", "metric"
# Examples on which a model is tried to see what its outputs are.
TRIED_EXAMPLES = 16
# How the weights are changed for it: noise of this size is added, relative to 1, and all are multiplied.
CHANGES = ((0.0, 1.0), (0.3, 1.0), (1.0, 3.0), (1.0, -10.0))


@dataclass(frozen=True)
class Problem:
    """A model, data and a loss, or an objective.

    Args:
        model: An architecture (`MLP([784, 512, 10])`) or its specification (`"mlp:512"`), a factory
            `key -> equinox.Module` (each seed has its own initial weights), or an `equinox.Module` (every
            lane has the same initial weights); either may give what `eqx.nn.make_with_state` does, a module
            and its state. A module with several inputs gets the items of a tuple in order, or those of a
            dictionary by name. `tw.adapt` makes a factory of a pair `(init, apply)` or of a Flax NNX module.
            None: a sensible default for the data (`models.default_model`).
        data: The result of `load`, or anything that `load` takes.
        loss: A registered loss, its name, or a function `(outputs, targets) -> per-example losses`.
            None: inferred from the task. With `binary_cross_entropy` or `hinge`, a model of two classes may
            have one output, the logit of the second class. A function receives what the model gives, and
            for a regression targets that are standardised as `(y - target_mean) / target_scale` of
            `data.preparation`; `predict` and the metrics turn both back into the target's own unit.
        metric: The same for the metric; several in a list. The first is that of the headline, of `target`
            and of the choice of weights; the others are recorded at every evaluation. None: accuracy or root
            mean squared error. With an objective: the name of one of its figures, or a `Metric` of that name;
            None: the objective itself.
        objective: In place of a loss, a function of the model: `(model, batch, key) -> loss`, or
            `(loss, figures)`; see `problem.objective`. The data may then be any tree of arrays with a common
            first axis, and so is a batch; data with targets give batches `(inputs, targets)`.
        models, objectives, alternate: In place of a model and an objective, several of them by name, trained
            in turn; see `problem.players`.
        outputs: What the outputs mean: `logits`, `probabilities`, `log_probabilities`, `scores` (the largest
            or, of a single output, the sign decides; not probabilities) or `values` (regression). It decides
            how metrics, predictions and reports read them. None: what the registered loss takes; for a
            function it is read off the function and the model by trying both on some numbers (see
            `losses.probe`). Afterwards it is never None.
        class_weight: What the classes weigh in the loss, not in the metrics: `balanced` (all classes weigh
            the same together), or weights by name or number, such as `{"yes": 5}`. They are divided by their
            mean over the training examples, so that the loss keeps its scale.
        select: What decides which weights are best, and when patience ends: the validation `loss`, or the
            `metric`. None: a metric that was given, else the loss.
        more_metrics: The metrics of the list after the first.
        name: What reports call the model; None for its specification, or the name of its class or function.

    Raises:
        DataError: The data cannot be used.
        ModelError: The model does not fit the data; the message names the layer and both shapes. Or what
            the outputs mean cannot be known; the message asks.

    Example:
        >>> import thalweg as tw
        >>> problem = tw.Problem(tw.MLP([64, 32, 10]), "digits")
    """

    model: Any = None
    data: Any = None
    loss: Any = None
    metric: Any = None
    outputs: Any = None
    objective: Any = None
    models: Any = None
    objectives: Any = None
    alternate: Any = None
    name: Any = None
    class_weight: Any = None
    select: Any = None
    more_metrics: Any = ()
    _check: ModelCheck = field(init=False, repr=False, compare=False)
    _shapes: dict[bool, PartitionedModel] = field(default_factory=dict, init=False, repr=False, compare=False)
    _folds: dict[int, "Problem"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name is not None and not (isinstance(self.name, str) and self.name.strip()):
            hint = f"for example {option('name', 'my net')}"
            raise ModelError("problem", "name must be text", got=self.name, hint=hint)
        if not (self.select is None or (isinstance(self.select, str) and self.select in (LOSS, METRIC))):
            hint = f"leave it out, or use {option('select', METRIC)}"
            raise ModelError("problem", "select must be loss or metric", got=self.select, hint=hint)
        if not isinstance(self.more_metrics, (tuple, list)):
            rule, hint = "several metrics are a list", option("metric", ["accuracy", "macro_f1"])
            raise ModelError("problem", rule, got=self.more_metrics, hint=hint)
        if isinstance(self.model, str):
            object.__setattr__(self, "model", parse(self.model))
        object.__setattr__(self, "select", self.select or (LOSS if self.metric is None else METRIC))
        plain = self.objective is None and self.models is None and self.objectives is None
        values = self._with_loss() if plain else self._with_objective()
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _with_loss(self) -> dict[str, Any]:
        """Return the fields of a problem with a loss."""
        data = self.data if isinstance(self.data, Data) else _loaded(self.data)
        if data.task == EXAMPLES:
            hint = "give (inputs, targets), or an objective in place of the loss"
            raise ModelError("problem", "a loss needs targets", got="examples without targets", hint=hint)
        if data.task == HEADS:
            return with_heads(self, data)
        loss = default_loss(data.task) if self.loss is None else as_loss(self.loss)
        plain = unweighted(loss)
        data = for_loss(data, plain)
        asked = [as_metric(each) for each in self.asked_metrics or (default_metric(data.task, plain),)]
        for metric in asked:
            check_task(metric, data.task)
            if metric.name == "mape" and isinstance(data, FoldedData):
                hint = "use the metric mae"
                raise ModelError("metric", "needs one unit for all folds", got=metric.name, hint=hint)
        loss = with_class_weights(loss, data, self.class_weight)
        model = self.model
        counts = loss.output_counts(data.task, data.outputs)
        if model is None:
            images = data.preparation.columns.is_image
            count = data.train.count()
            model = default_model(data.task, data.input_shape, count, counts[0], images=images)
        if data.task == LANGUAGE and getattr(model, "causal", True) is False:
            rule = "must be causal to predict the next token: it would see what it predicts"
            hint = f"leave {option('causal', False)} out, or train it with an objective of its own"
            raise ModelError(model.name, rule, got="causal=False", hint=hint)
        bare = plain.takes_logits or plain.meaning == SCORES
        _check_folds(model, data)
        model, checked = _fit_model(model, data, counts, bare)
        meaning = _settled(self.outputs, plain, data, model, checked)
        ready = data.preparation
        facts = (ready.classes, ready.target_scale, ready.target_mean)
        metrics = [reading(metric, meaning, *facts) for metric in asked]
        if data.train.weighted:
            loss = loss if isinstance(loss, Weighted) else Weighted(loss)
            metrics = [weighted_metric(metric) for metric in metrics]
        values = {"data": data, "loss": loss, "model": model, "outputs": meaning, "_check": checked}
        return values | {"metric": metrics[0], "more_metrics": distinct(metrics)}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, that of the headline first."""
        return (self.metric, *self.more_metrics)

    @property
    def asked_metrics(self) -> tuple[Any, ...]:
        """The metrics as they were given, one or several."""
        given = self.metric
        several = tuple(given) if isinstance(given, (list, tuple)) else () if given is None else (given,)
        return (*several, *self.more_metrics)

    def _with_objective(self) -> dict[str, Any]:
        """Return the fields of a problem with an objective, which takes the place of the loss.

        Raises:
            ModelError: There is a loss as well, no model, or the objective cannot be used.
        """
        # `dataclasses.replace` passes the fields of a problem that is already complete.
        loss = None if isinstance(self.loss, Objective) else self.loss
        given = "loss" if loss is not None else "outputs" if self.outputs is not None else None
        if given:
            hint = f"leave {given} out, or compute it in the objective"
            raise ModelError("problem", f"takes an objective or {given}, not both", got=given, hint=hint)
        several = self.models is not None or self.objectives is not None
        made = isinstance(self.model, ModelsFactory) and isinstance(self.objective, Alternating)
        if several and not made and (self.model is not None or self.objective is not None):
            hint = "leave model and objective out, or give models and objectives no value"
            raise ModelError("problem", "takes a model and an objective, or several of both", hint=hint)
        if self.model is None and not several:
            rule, hint = "an objective needs a model", "for example tw.MLP([2, 64, 1])"
            raise ModelError("problem", rule, hint=hint)
        data = self.data if isinstance(self.data, Data) else None
        if data is None:
            data = examples(self.data) if is_tree(self.data) else load(self.data)
        model, example = factory_of(self.models) if several else self.model, _example_batch(data)
        if isinstance(model, ModelsFactory):
            objective, noisy = alternating(self.objectives, self.alternate, model, example)
        else:
            objective, noisy = examined(as_function(self.objective), model, example)
        metric, *more = [metric_of(objective, each) for each in self.asked_metrics or (None,)]
        checked = ModelCheck(jax.ShapeDtypeStruct((), jnp.float32), noisy, None)
        values = {"data": data, "model": model, "loss": objective, "objective": objective}
        return values | {"metric": metric, "more_metrics": distinct([metric, *more]), "_check": checked}

    def example_shape(self, data: Data) -> PyTree:
        """Return the shape and dtype of one example, as the model receives it."""
        return _example_shape(data)

    @property
    def model_spec(self) -> str:
        """The model in one line: `mlp:512`, or the name of a class or function of the user."""
        if isinstance(self.model, Architecture):
            return self.model.spec()
        model = self.model[0] if isinstance(self.model, tuple) else self.model  # a module with its state
        return getattr(model, "__name__", type(model).__name__)

    @property
    def whole_batches(self) -> bool:
        """Whether every batch must be whole: an objective gives one number for it."""
        return self.objective is not None and not self.objective.per_row

    @property
    def model_name(self) -> str:
        """What reports call the model: its name, its specification, or the class that a function makes."""
        if self.name is None and isinstance(self.model, (FunctionType, partial, tuple)):
            return type(eqx.combine(self.shapes.params, self.shapes.fixed)).__name__
        return self.model_spec if self.name is None else self.name

    def of_fold(self, fold: int | None) -> "Problem":
        """Return the problem on one fold of its data, with the fold's preparation; for None itself."""
        if fold is None:
            return self
        if fold not in self._folds:
            assert isinstance(self.data, FoldedData)
            self._folds[fold] = replace(self, data=self.data.folds[fold])
        return self._folds[fold]

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


def distinct(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Return the metrics after the first, each once."""
    by_name = {metric.name: metric for metric in reversed(metrics)}
    return tuple(by_name[name] for name in dict.fromkeys(m.name for m in metrics) if name != metrics[0].name)


def _loaded(source: Any) -> Data:
    """Read the data of a problem with a loss; several targets of mixed kinds are examples."""
    pair = isinstance(source, (tuple, list)) and len(source) == 2
    if pair and isinstance(source[1], (dict, list, tuple)) and is_tree(source[1]):
        return examples(source[0], targets=source[1])
    return load(source)


def _fit_model(model: Any, data: Data, counts: tuple[int, ...], logits: bool) -> tuple[Any, ModelCheck]:
    """Return the model fitted to the data with the first of these numbers of outputs that it accepts.

    Raises:
        ModelError: It accepts none; the error is that of the first number.
    """
    errors = []
    for count in counts:
        try:
            fitted = model.fitted(data.input_shape, count) if isinstance(model, Architecture) else model
            checked = check(fitted, _example_shape(data), data.task, count)
        except ModelError as error:
            errors.append(error)
            continue
        if logits:
            reject_activation(checked.activation, checked.output.shape)
        return fitted, checked
    raise errors[0]


def _check_folds(model: Any, data: Data) -> None:
    """Reject a model whose members do not leave out the folds of the data.

    Raises:
        ModelError: It is one.
    """
    folds = data.train.folds if isinstance(data.train, MemberRows) else None
    own = getattr(model, "folds", 1), getattr(model, "members", 1)
    if folds is not None and (own[0] != folds or own[1] < folds):
        rule = f"must be a Tabular of {folds} folds and at least as many members, as the data's folds"
        got, hint = getattr(model, "name", type(model).__name__), f"use fit with {option('ensemble', folds)}"
        raise ModelError("model", rule, got=got, hint=hint)


def _settled(declared: Any, loss: Loss, data: Data, model: Any, checked: ModelCheck) -> str:
    """Return what the outputs mean; see `Problem.outputs`.

    Raises:
        ModelError: The declared meaning is unknown or contradicts the loss or the task, or it is not declared
            and cannot be known.
    """
    if declared is not None and (not isinstance(declared, str) or declared.split(":")[0] not in MEANINGS):
        hint = did_you_mean(str(declared), MEANINGS)
        raise ModelError("problem", "outputs must be a known meaning", got=declared, hint=hint)
    of_values = loss.meaning if loss.meaning == LOG_RATES or quantile_levels(loss.meaning or "") else VALUES
    classes = loss.meaning or (LOGITS if loss.takes_logits else None)
    known = of_values if data.task == REGRESSION else classes
    if known is None and declared != VALUES:
        return _probed(declared, loss, data, model, checked)
    if declared not in (None, known):
        takes = f"the loss {loss.name} takes {known}" if known else f"the task is {data.task}"
        rule = f"outputs must fit the loss and the task: {takes}"
        hint = f"leave {option('outputs', declared)} out, or use another loss"
        raise ModelError("problem", rule, got=declared, hint=hint)
    return known or LOGITS


def _probed(declared: str | None, loss: Loss, data: Data, model: Any, checked: ModelCheck) -> str:
    if data.task == LANGUAGE:  # one output for each token: the largest is the likeliest under any meaning
        return declared or (PROBABILITIES if checked.activation == "softmax" else LOGITS)
    ours = isinstance(model, Architecture) and not ends_in_activation(model)
    free = declared is not None or ours
    model_range = FREE if free else range_of(_tried_outputs(model, data, checked), checked.activation)
    if data.task == MULTILABEL:
        return settle_labels(loss, checked.output.shape, model_range, declared)
    return settle(loss, checked.output.shape, data.outputs, model_range, declared)


def _tried_outputs(model: Any, data: Data, checked: ModelCheck) -> list[PyTree]:
    """Return outputs for some examples with first weights, and with weights changed as in `CHANGES`."""
    if checked.activation is not None:
        return []
    rows = np.linspace(0, data.train.count() - 1, TRIED_EXAMPLES).astype(np.int32)
    inputs = data.preparation.scale(data.train.batch(jnp.asarray(rows))[0])
    built, random = build(model, keys.lane_key(0)), np.random.default_rng(0)

    @filter_jit
    def outputs(params: PyTree) -> PyTree:
        return apply(built._replace(params=params), inputs, key=None, training=False)[0]

    def changed(noise: float, factor: float) -> PyTree:
        def leaf(values: Any) -> Any:
            return factor * (values + noise * random.normal(size=values.shape).astype(values.dtype))

        return jax.tree.map(leaf, built.params)

    return [outputs(changed(*change)) for change in CHANGES]


def _example_shape(data: Data) -> PyTree:
    """Return the shape and dtype of one example, as the model receives it."""
    return _one_example(data, lambda inputs, targets: inputs)


def _example_batch(data: Data) -> PyTree:
    """Return the shape and dtype of one example, as an objective receives it."""
    return _one_example(data, as_batch)


def _one_example(data: Data, part: Callable[[PyTree, PyTree], PyTree]) -> PyTree:
    def prepared(rows: Array) -> PyTree:
        inputs, targets = data.train.batch(rows)
        return part(data.preparation.scale(inputs), targets)

    batch = jax.eval_shape(prepared, jax.ShapeDtypeStruct((1,), "int32"))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
