"""Several outputs of mixed kinds: a model gives a dictionary (or list) of outputs, with targets likewise.

    Problem(model, (inputs, {"kind": classes, "price": values}))
    Problem(model, data, loss={"kind": "cross_entropy", "price": ("huber", 0.5)}, metric=["kind.accuracy"])

Each head has a loss of its own; the loss of an example is their sum, each times its factor. A metric of a
head has the head's name before its own. Targets of each head are read as those of a problem with one: classes
are numbered, values are standardised.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from jaxtyping import Array, Float, PyTree

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.data.data import Data
from thalweg.problem.data.preparation import Head
from thalweg.problem.losses import (
    Custom,
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
from thalweg.problem.losses.loss import ORDERED, RATIOS, Elements
from thalweg.problem.losses.outputs import LOGITS, VALUES
from thalweg.problem.losses.probe import FREE, settle, settle_labels
from thalweg.problem.models.checks import ModelCheck, check_heads


@dataclass(frozen=True)
class Heads(Loss):
    """A sum of losses, one for each head: `sum_h w_h loss_h(z_h, y_h)`.

    Args:
        losses: (head, loss) pairs.
        weights: The factor of each, at least 0.
    """

    name: ClassVar[str] = "heads"
    formula: ClassVar[str] = "sum_h w_h loss_h(z_h, y_h)"
    when: ClassVar[str] = "Several outputs of mixed kinds."
    reference: ClassVar[str] = "Caruana 1997"

    losses: tuple[tuple[Any, Loss], ...]
    weights: tuple[float, ...]

    @property
    def label(self) -> str:
        """The loss of each head, such as `kind: cross_entropy, price: 0.5 mse`."""
        pairs = zip(self.losses, self.weights, strict=True)
        return ", ".join(f"{h}: {'' if w == 1 else f'{w:g} '}{_label(loss)}" for (h, loss), w in pairs)

    def elements(self, outputs: PyTree, targets: PyTree) -> Elements:
        """Return the sum for every example."""
        return Elements(sum(self._each(outputs, targets)))  # type: ignore[arg-type]

    def check(self, outputs: PyTree, targets: PyTree) -> None:
        """Reject whatever the loss of a head refuses."""
        for head, loss in self.losses:
            loss.check(outputs[head], targets[head])

    def _each(self, outputs: PyTree, targets: PyTree) -> list[Float[Array, " batch"]]:
        pairs = zip(self.losses, self.weights, strict=True)
        return [w * loss(outputs[h], targets[h]) for (h, loss), w in pairs]


def _label(loss: Loss) -> str:
    return getattr(loss, "label", None) or loss.spec()


def with_heads(problem: Any, data: Data) -> dict[str, Any]:
    """Return the fields of a problem whose targets are several, by name.

    Args:
        problem: Its model, loss, metric and outputs as they were given.
        data: The data.

    Raises:
        ModelError: The model, the losses or the metrics do not fit.
    """
    heads = data.preparation.heads
    if problem.model is None:
        rule, hint = "of several outputs needs a model", "give a module that returns them by name"
        raise ModelError("problem", rule, got=", ".join(str(head.name) for head in heads), hint=hint)
    if problem.class_weight is not None:
        hint = "write it into the loss of the head: cross_entropy:class_weights=1/5"
        raise ModelError("class_weight", "needs one class for each example", got="several outputs", hint=hint)
    loss = _loss(unweighted(problem.loss) if isinstance(problem.loss, Loss) else problem.loss, heads)
    example = problem.example_shape(data)
    checked = check_heads(problem.model, example, [head.name for head in heads])
    meanings = {head.name: _meaning(head, loss, checked, (problem.outputs or {})) for head in heads}
    metrics = _metrics(problem.asked_metrics, loss, heads, meanings)
    if data.train.weighted:
        loss, metrics = Weighted(loss), [weighted_metric(metric) for metric in metrics]
    return {"data": data, "model": problem.model, "loss": loss, "outputs": meanings, "_check": checked} | {
        "metric": metrics[0],
        "more_metrics": tuple(metrics[1:]),
    }


def _loss(given: Any, heads: tuple[Head, ...]) -> Loss:
    names = [head.name for head in heads]
    if isinstance(given, Heads):
        return given
    if given is not None and not isinstance(given, (Mapping, list, tuple)):
        if callable(given) and not isinstance(given, Loss):
            return Custom(given)
        rule = "must be one for each output, or a function of all of them"
        raise ModelError("loss", rule, got=given, hint=f"for example loss={{{names[0]!r}: 'mse'}}")
    chosen = dict(given if isinstance(given, Mapping) else enumerate(given or ()))
    for name in chosen:
        if name not in names:
            hint = did_you_mean(str(name), list(map(str, names)))
            raise ModelError("loss", "must name an output", got=name, hint=hint)
    pairs = [_one(head, chosen.get(head.name)) for head in heads]
    return Heads(
        tuple((head.name, loss) for head, (loss, _) in zip(heads, pairs, strict=True)),
        tuple(w for _, w in pairs),
    )


def _one(head: Head, given: Any) -> tuple[Loss, float]:
    """Return the loss of a head, and its factor."""
    weight: Any = 1.0
    if isinstance(given, (tuple, list)):
        given, weight = given if len(given) == 2 else (given, None)
    if not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
        rule, hint = "the factor of an output must be finite and at least 0", "for example ('mse', 0.5)"
        raise ModelError("loss", rule, got=weight, where=str(head.name), hint=hint)
    loss = default_loss(head.task) if given is None else as_loss(given)
    if loss.target_form in (RATIOS, ORDERED):
        rule, hint = "is for one target alone", "use mse or cross_entropy for this output"
        raise ModelError(loss.name, rule, got=f"the output {head.name}", hint=hint)
    return loss, float(weight)


def _meaning(head: Head, loss: Loss, checked: ModelCheck, declared: Mapping[Any, str]) -> str:
    """Return what the outputs of a head mean."""
    own = dict(loss.losses).get(head.name) if isinstance(loss, Heads) else None
    output: Any = checked.output
    shape = tuple(output[head.name].shape)
    count = head.width
    allowed = (count,) if own is None else own.output_counts(head.task, count)
    if not any(shape == (n,) or (n == 1 and shape == ()) for n in allowed):
        rule = f"must give outputs of shape ({allowed[0]},) for {head.name} and one example"
        hint = f"give that head {allowed[0]} output{'s' if allowed[0] > 1 else ''}"
        raise ModelError("model", rule, got=f"shape {shape}", hint=hint)
    if head.name in declared:
        return declared[head.name]
    if head.task == "regression":
        return (own.meaning if own is not None else None) or VALUES
    if own is None or own.meaning or own.takes_logits:
        return (own.meaning if own is not None else None) or LOGITS
    if head.task == "multilabel":
        return settle_labels(own, shape, FREE)
    return settle(own, shape, count, FREE)


def _metrics(
    asked: tuple[Any, ...], loss: Loss, heads: tuple[Head, ...], meanings: Mapping[Any, str]
) -> list[Metric]:
    losses = dict(loss.losses) if isinstance(loss, Heads) else {}
    if not asked and isinstance(loss, Custom):
        return [Metric("loss", loss, higher_is_better=False)]
    if not asked:
        asked = tuple((head.name, default_metric(head.task, losses.get(head.name))) for head in heads)
    found: dict[str, Metric] = {}
    for each in asked:
        for metric in _of_heads(each, heads, meanings):
            found.setdefault(metric.name, metric)
    return list(found.values())


def _of_heads(given: Any, heads: tuple[Head, ...], meanings: Mapping[Any, str]) -> list[Metric]:
    if isinstance(given, Mapping):
        return [
            metric
            for name, several in given.items()
            for one in (several if isinstance(several, (list, tuple)) else [several])
            for metric in _of_heads((name, one), heads, meanings)
        ]
    names = {str(head.name): head for head in heads}
    if isinstance(given, Metric) and given.head is not None:
        return [given]
    if isinstance(given, str):
        name, dot, rest = given.partition(".")
        if not dot or name not in names:
            rule, hint = "must begin with the name of an output", f"for example {next(iter(names))}.{given}"
            raise ModelError("metric", rule, got=given, hint=hint)
        given = (names[name].name, rest)
    if not isinstance(given, tuple):
        return [as_metric(given)]
    head = names.get(str(given[0]))
    if head is None:
        hint = did_you_mean(str(given[0]), names)
        raise ModelError("metric", "must name an output", got=given[0], hint=hint)
    metric = as_metric(given[1])
    check_task(metric, head.task)
    metric = reading(metric, meanings[head.name], head.classes, head.target_scale, head.target_mean)
    return [replace(metric, name=f"{head.name}.{metric.name}", head=head.name)]
