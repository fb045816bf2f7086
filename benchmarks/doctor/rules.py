"""Tools that look at one training and match thresholds, written anew from what their authors published.

- SageMaker Debugger: its built-in rules for deep learning, with the defaults of its documentation ("List of
  Debugger built-in rules"), all tensors saved at each step. Left out are rules without defaults (AllZero,
  UnchangedTensor and TensorVariance take what the user names) and those for images, text and trees.
- UMLAUT: Schoop, Huang & Hartmann, UMLAUT: Debugging Deep Learning Programs using Program Structure and Model
  Behavior, 2021, with the thresholds of its published program.
- AutoTrainer: Zhang, Zhai, Ma & Shen, AUTOTRAINER: An Automatic DNN Training Problem Detection and Repair
  System, 2021, with its defaults. Its accuracy is R^2 for values.

None of them names causes in the words that are scored here. So each alarm stands for all causes that its text
names or that its remedy mends, and is right if one of them was planted: that favours these tools.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.doctor.programs import BINARY, CLASSES, VALUES, binary_logit_loss, identity, logit_loss
from benchmarks.doctor.trace import Trace

RATE = ("lr_high", "inputs_unscaled", "targets_unscaled")
INIT = ("init_symmetric", "init_large", "init_small")
HEAD = ("head_activation_wrong", "head_double_activation")
Found = Callable[[Trace], int | None]


@dataclass(frozen=True)
class Alarm:
    """What a tool reports.

    Args:
        rule: Name of its rule.
        step: The first step at which it holds; -1 before the first.
        causes: Causes that it may stand for.
    """

    rule: str
    step: int
    causes: tuple[str, ...]


def alarms(tool: str, trace: Trace) -> list[Alarm]:
    """Return the alarms of a tool in the order of their steps."""
    steps = [(name, rule(trace), causes) for name, causes, rule in TOOLS[tool]]
    return sorted((Alarm(*each) for each in steps if each[1] is not None), key=lambda alarm: alarm.step)


def _first(flags: np.ndarray) -> int | None:
    at = np.flatnonzero(flags)
    return int(at[0]) if len(at) else None


def _epoch(trace: Trace, flags: np.ndarray) -> int | None:
    """Return the step of the first evaluation for which a rule holds; flags begin after the first epoch."""
    at = _first(flags)
    return None if at is None else (at + 1) * trace.per_epoch - 1


# SageMaker Debugger.


def _vanishing(trace: Trace) -> int | None:
    return _first((trace.size < 1e-7).any(axis=1))


def _exploding(trace: Trace) -> int | None:
    return _first(~np.isfinite(trace.loss) | ~np.isfinite(trace.norm).all(axis=1))


def _dead(trace: Trace) -> int | None:
    if trace.setup.act is not jax.nn.relu:
        return None
    shares = [[((each > 0).mean(axis=0) < 0.01).mean() for each in seen] for seen in trace.hidden[1:]]
    return _epoch(trace, (np.array(shares).reshape(len(shares), -1) > 0.5).any(axis=1))


def _saturated(trace: Trace) -> int | None:
    low, high = {jnp.tanh: (-9.4999, 9.4999), jax.nn.sigmoid: (-23.0, 16.99999)}.get(
        trace.setup.act, (-np.inf, np.inf)
    )
    shares = [
        [(((each > low) & (each < high)).mean(axis=0) < 0.01).mean() for each in seen]
        for seen in trace.hidden[1:]
    ]
    return _epoch(trace, (np.array(shares).reshape(len(shares), -1) > 0.5).any(axis=1))


def _poor_initialisation(trace: Trace) -> int | None:
    if trace.setup.act is not jax.nn.relu:
        return None
    variances = [each.var() for each in trace.hidden[0]]
    if variances and max(variances) > 10 * min(variances):
        return 0
    narrow = trace.spread[:10, trace.matrices].min(axis=1) < 0.001
    best = np.minimum.accumulate(trace.loss[:10])
    still = np.array([at >= 5 and not best[at] < best[at - 5] for at in range(len(best))])
    return _first(narrow | still)


def _update_ratio(large: bool) -> Found:
    def rule(trace: Trace) -> int | None:
        ratio = trace.update[:, trace.matrices]
        return _first((ratio > 10 if large else ratio < 1e-8).any(axis=1))

    return rule


def _not_decreasing(trace: Trace) -> int | None:
    loss = trace.loss[::10]
    at = _first(~(loss[1:] < loss[:-1] * (1 - 0.001)))
    return None if at is None else 10 * (at + 1)


def _gap(trace: Trace) -> int | None:
    train, held = trace.train_loss[1:], trace.held_loss[1:]
    return _epoch(trace, (held - train) / np.abs(train) > 0.1)


def _overtraining(trace: Trace) -> int | None:
    waits = ((trace.train_loss[1:], 5), (trace.held_loss[1:], 10))
    flags = np.zeros(len(trace.train_loss) - 1, bool)
    for losses, patience in waits:
        best, waited = np.inf, 0
        for at, loss in enumerate(losses):
            best, waited = (loss, 0) if loss < best - 0.01 else (best, waited + 1)
            flags[at] |= waited > patience
    return _epoch(trace, flags)


def _imbalance(trace: Trace) -> int | None:
    if trace.setup.kind == VALUES:
        return None
    _, counts = np.unique(trace.setup.y, return_counts=True)
    return -1 if counts.max() > 10 * counts.min() else None


# UMLAUT.


def _beyond_one(trace: Trace) -> int | None:
    return -1 if np.abs(trace.setup.x).max() > 1 else None


def _whole_numbers(trace: Trace) -> int | None:
    return None if np.issubdtype(trace.setup.x.dtype, np.floating) else -1


def _no_softmax(trace: Trace) -> int | None:
    setup = trace.setup
    fed_logits = setup.loss in (logit_loss, binary_logit_loss)
    return -1 if setup.kind in (CLASSES, BINARY) and setup.out is identity and not fed_logits else None


def _no_activation(trace: Trace) -> int | None:
    return -1 if trace.setup.act is identity and len(trace.setup.sizes) > 2 else None


def _last_activation(trace: Trace) -> int | None:
    fed_logits = trace.setup.loss in (logit_loss, binary_logit_loss)
    return -1 if fed_logits and trace.setup.out is not identity else None


def _much_dropout(trace: Trace) -> int | None:
    return -1 if trace.setup.dropout > 0.5 else None


def _rate_beyond(high: bool) -> Found:
    def rule(trace: Trace) -> int | None:
        rate = float(getattr(trace.setup.recipe.optimizer, "lr", 1e-3))
        return -1 if (rate > 0.01 if high else rate < 1e-5) else None

    return rule


def _nan(trace: Trace) -> int | None:
    return _epoch(trace, ~np.isfinite(trace.train_loss[1:]))


def _overfitting(trace: Trace) -> int | None:
    train, held = np.diff(trace.train_loss[1:]), np.diff(trace.held_loss[1:])
    at = _first((held > 0) & (train <= 0))
    return None if at is None else (at + 2) * trace.per_epoch - 1


def _too_good(trace: Trace) -> int | None:
    if trace.setup.kind == VALUES:
        return None
    train, held = trace.train_score[1:], trace.held_score[1:]
    return _epoch(trace, (held > 0.95) | (held > train))


# AutoTrainer. It looks after every third epoch, at losses and scores from 30 % of the training on.

CHECKED, FROM = 3, 0.3


def issue(trace: Trace) -> tuple[str, int] | None:
    """Return the problem that AutoTrainer finds, and the step; None where it finds none."""
    epochs = len(trace.train_loss) - 1
    for epoch in range(CHECKED, epochs + 1, CHECKED):
        found = _issue(trace, epoch, late=epoch >= FROM * epochs)
        if found is not None:
            return found, epoch * trace.per_epoch - 1
    return None


def _issue(trace: Trace, epoch: int, late: bool) -> str | None:
    at, losses = epoch * trace.per_epoch - 1, (trace.train_loss[: epoch + 1], trace.held_loss[: epoch + 1])
    norms = trace.norm[: at + 1]
    if not all(np.isfinite(each).all() for each in (*losses, norms)) or losses[1][-1] >= 1e5:
        return "explode"
    if not late:
        return None
    train, held = trace.train_score[1 : epoch + 1], trace.held_score[1 : epoch + 1]
    slow = max(np.diff(train).max(initial=0), np.diff(held).max(initial=0)) < 0.01
    if slow or min(train.max(), held.max()) < 0.7:
        kernels = trace.norm[at, trace.matrices]
        ratio = kernels[0] / max(kernels[-1], 1e-30)
        if trace.zero[at] >= 0.7:
            return "relu"
        if ratio > 70:
            return "explode"
        if ratio < 1e-3 and kernels[0] < 1e-4:
            return "vanish"
        return "not_converge" if slow else None
    return "unstable" if _swings(train) >= 0.2 * epoch else None


def _swings(scores: np.ndarray) -> int:
    inner, before, after = scores[1:-1], scores[:-2], scores[2:]
    tops, bottoms = inner[(inner >= before) & (inner >= after)], inner[(inner <= before) & (inner <= after)]
    pairs = min(len(tops), len(bottoms))
    return int(np.sum(tops[:pairs] - bottoms[:pairs] >= 0.03))


def _is(name: str) -> Found:
    def rule(trace: Trace) -> int | None:
        found = issue(trace)
        return found[1] if found is not None and found[0] == name else None

    return rule


# By tool: name of the rule, causes that it may stand for, and the rule.
TOOLS: dict[str, list[tuple[str, tuple[str, ...], Found]]] = {
    "SageMaker Debugger": [
        ("ClassImbalance", ("labels_corrupted",), _imbalance),
        ("PoorWeightInitialization", INIT, _poor_initialisation),
        ("VanishingGradient", ("depth_unnormalised", "init_small", "hidden_activation_wrong"), _vanishing),
        ("ExplodingTensor", (*RATE, "init_large", "loss_unstable"), _exploding),
        ("DeadRelu", ("relu_dying",), _dead),
        ("SaturatedActivation", ("init_large", "inputs_unscaled", "hidden_activation_wrong"), _saturated),
        ("WeightUpdateRatio, large", ("lr_high",), _update_ratio(large=True)),
        ("WeightUpdateRatio, small", ("lr_low", "optimizer_unsuitable"), _update_ratio(large=False)),
        ("LossNotDecreasing", ("lr_high", "lr_low", "lr_sign", "optimizer_unsuitable"), _not_decreasing),
        ("Overfit", ("regularisation_missing", "data_too_little"), _gap),
        ("Overtraining", ("regularisation_missing",), _overtraining),
    ],
    "UMLAUT": [
        ("no softmax before the loss", ("head_activation_missing",), _no_softmax),
        ("missing activations", ("hidden_linear",), _no_activation),
        ("activation in the last layer", HEAD, _last_activation),
        ("high dropout", ("dropout_high",), _much_dropout),
        ("inputs beyond -1 to 1", ("inputs_unscaled",), _beyond_one),
        ("inputs not floating", ("inputs_unscaled",), _whole_numbers),
        ("high rate", ("lr_high",), _rate_beyond(high=True)),
        ("low rate", ("lr_low",), _rate_beyond(high=False)),
        ("NaN in the loss", (*RATE, "loss_unstable"), _nan),
        ("overfitting", ("regularisation_missing", "data_too_little"), _overfitting),
        ("validation accuracy too good", ("data_leakage", "train_eval_mismatch"), _too_good),
    ],
    "AutoTrainer": [
        ("vanish", ("depth_unnormalised", "init_small", "hidden_activation_wrong"), _is("vanish")),
        ("explode", (*RATE, "init_large", "clip_missing", "loss_unstable"), _is("explode")),
        ("relu", ("relu_dying",), _is("relu")),
        ("unstable", ("lr_high", "batch_small"), _is("unstable")),
        ("not_converge", ("lr_low", "optimizer_unsuitable", "epochs_few"), _is("not_converge")),
    ],
}
