"""Is it failing at all? A run is judged against what the data allow, not against thresholds of its curve.

The ceiling is the best of cheap references on the same rows; for a handful of rows without others, whether
they can be learned by heart. Where no reference applies, the loss has to fall.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thalweg.insight.doctor.anatomy import BINARY, CLASSES, LABELS, SELF, TEXT, VALUES, Anatomy
from thalweg.insight.doctor.arms import Result
from thalweg.insight.doctor.diagnosis import Symptom
from thalweg.insight.doctor.finding import View
from thalweg.insight.doctor.probe import Probe
from thalweg.insight.references import References, references
from thalweg.problem.players import Alternating

# Share of the distance from the constant to the best reference that a healthy run may miss: networks with
# usual recipes miss up to a quarter of it on tables where trees are strong.
MISSED = 0.4
# The same where something is suspected strongly before the first step, such as inputs of the wrong scale.
MISSED_SUSPECTED = 0.2
# Share from which on such a suspicion is tried, although the run passes.
MISSED_DOUBTED = 0.06
# Absolute difference of the metric, beyond noise, below which nobody would look.
MARGIN = 0.03
# Different rows up to which a classifier without other rows should know all of them by heart: truth tables.
BY_HEART = 16
# Fall of the loss, relative to its start, below which it is flat.
FLAT = 0.02
TINY_SPREAD = 1e-4
# Mean change of the loss from one fortieth of a run to the next, relative to its start, that is a swing; a
# fall of fewer of these changes is none.
VISIBLE, NOISES = 0.05, 4.0


@dataclass(frozen=True)
class Scale:
    """What the data allow: scores of the constant predictor and of the best that is known, and noise."""

    constant: float
    ceiling: float
    noise: float
    references: References | None


def scale_of(anatomy: Anatomy, *, trees: bool = True) -> Scale:
    """Return what the data allow."""
    targets = anatomy.reference_targets(anatomy.train)
    metric = anatomy.metric
    if (
        targets is None
        or anatomy.train.x is None
        or not np.isfinite(np.asarray(anatomy.train.x, np.float64)).all()
    ):
        constant = _constant(anatomy)
        return Scale(constant, 1.0 if metric != "loss" else 0.0, 0.0, None)
    held = None
    if anatomy.held is not None and anatomy.held.distinct >= 20 and anatomy.held.x is not None:
        other = anatomy.reference_targets(anatomy.held)
        which = anatomy.held.different
        held = None if other is None else (anatomy.held.x[which], other[which])
    found = references((anatomy.train.x, targets), held, metric, trees=trees)
    ceiling = found.best
    few = metric == "accuracy" and len(np.unique(_matrix(anatomy.train.x), axis=0)) <= BY_HEART
    if held is None and few and not _conflicting(anatomy):
        return Scale(found.constant, 1.0, 0.0, found)
    return Scale(found.constant, ceiling, found.noise, found)


def _constant(anatomy: Anatomy) -> float:
    if anatomy.kind == LABELS and anatomy.train.y is not None:
        share = np.mean(anatomy.train.y, axis=0)
        return float(np.mean(np.maximum(share, 1 - share)))
    return 0.0


def _matrix(x: np.ndarray) -> np.ndarray:
    return np.asarray(x).reshape(len(x), -1)


def _conflicting(anatomy: Anatomy) -> bool:
    """Return whether equal inputs have different targets."""
    x, y = np.asarray(anatomy.train.x), np.asarray(anatomy.train.y)
    seen: dict[bytes, bytes] = {}
    return any(
        seen.setdefault(row.tobytes(), target.tobytes()) != target.tobytes()
        for row, target in zip(x, y, strict=True)
    )


def failing(view: View, base: Result, scale: Scale, suspected: bool = False) -> bool:
    """Return whether the runs as diagnosed fail.

    Args:
        view, base, scale: What was seen, what was trained, what the data allow.
        suspected: Whether a fault is suspected strongly, whatever the runs did.
    """
    if any(base.diverged):
        return True
    kind = view.anatomy.kind
    if kind in (CLASSES, BINARY, VALUES):
        span = scale.ceiling - scale.constant
        if span <= max(scale.noise, 0.02):
            return False
        by_heart = scale.noise == 0.0
        missed = 0.1 if by_heart else MISSED_SUSPECTED if suspected else MISSED
        slack = 0.01 if by_heart else MARGIN + scale.noise
        short = [base.share(value) > missed and scale.ceiling - value > slack for value in base.values]
        return bool(np.mean(short) > 0.3)
    if kind == LABELS:
        return (
            base.score < scale.constant + 0.1 * (1 - scale.constant)
            and base.train_score < scale.constant + 0.02
        )
    curve = base.mean_curve
    if not len(curve):
        return True
    if isinstance(view.anatomy.problem.objective, Alternating):  # one loss rises as the other falls
        return False
    return bool(base.fall < FLAT) and len(curve) >= 8


def doubtful(base: Result, scale: Scale) -> bool:
    """Return whether runs that do not fail miss so much that a strong suspicion is worth a trial.

    Only a proof makes a fault of it: see `diagnose`.
    """
    span = scale.ceiling - scale.constant
    if span <= max(scale.noise, 0.02):
        return False
    slack = MARGIN + scale.noise
    short = [base.share(value) > MISSED_DOUBTED and scale.ceiling - value > slack for value in base.values]
    return bool(np.mean(short) > 0.3)


def symptoms(view: View, base: Result, scale: Scale, fails: bool) -> Iterator[Symptom]:
    """Yield what is seen of a run that fails."""
    if not fails:
        return
    yield from _of_loss(view, base)
    yield from _of_metric(view, base, scale)
    yield from _of_layers(view)


def _seeds(flags: list[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"


def _of_loss(view: View, base: Result) -> Iterator[Symptom]:
    bad = [not np.isfinite(curve).all() for curve in base.curves]
    if any(bad) or any(base.diverged):
        step = min((at for at in base.diverged_at if at is not None), default=None)
        yield Symptom(
            "loss_nan",
            f"the loss is not finite, or 10,000 times its start: {base.text}",
            step,
            seeds=_seeds([a or b for a, b in zip(bad, base.diverged, strict=True)]),
        )
    rising = [bool(len(c) > 1 and np.nanmax(c) > 10 * max(abs(c[0]), 1e-12)) for c in base.curves]
    if any(rising) or any(base.diverged):
        yield Symptom(
            "loss_exploding",
            "the loss grew to more than ten times its start",
            seeds=_seeds([a or b for a, b in zip(rising, base.diverged, strict=True)]),
        )
    if view.profile is not None and view.anatomy.kind in (CLASSES, BINARY, LABELS) and base.lowest < -1e-3:
        yield Symptom("loss_negative", f"the loss falls to {base.lowest:.3g}")
    curve = base.mean_curve
    if len(curve) < 4:
        return
    figures = f"loss {curve[0]:.4g} -> {curve[-1]:.4g} in {base.steps} updates"
    within = base.noise < VISIBLE and abs(base.fall) < NOISES * base.noise  # what batches differ by
    if abs(base.fall) < 0.05 or within:
        yield Symptom("loss_flat", figures)
    if base.falling > 0.05:
        yield Symptom("loss_slow", f"{figures}; {base.falling:.0%} of the fall in the last quarter")
    elif base.fall > 0.01 and not within:
        yield Symptom("loss_plateau", figures)
    if base.swing > 0.12 and base.noise > VISIBLE:
        yield Symptom(
            "loss_oscillating",
            f"the loss changes by {base.swing:.0%} of its range from one fortieth to the next",
        )
    if base.spikes:
        yield Symptom("loss_spike", f"{base.spikes} jumps to three times the median before")
    chance = _chance(view)
    if chance is not None and not chance / 3 < abs(curve[0]) < chance * 3:
        yield Symptom("init_loss_off", f"the loss starts at {curve[0]:.4g}; chance implies {chance:.4g}", 0)


def _chance(view: View) -> float | None:
    """Return the loss that chance implies."""
    anatomy = view.anatomy
    if anatomy.kind in (BINARY, LABELS):
        return float(np.log(2))
    if anatomy.kind == CLASSES and anatomy.classes is not None:
        return float(np.log(len(np.unique(anatomy.classes))))
    if anatomy.kind == VALUES and anatomy.train.y is not None:
        return 1.0
    return None


def _of_metric(view: View, base: Result, scale: Scale) -> Iterator[Symptom]:
    if view.anatomy.metric != "loss":
        chance = [
            value <= scale.constant + 0.1 * max(scale.ceiling - scale.constant, 0.05) for value in base.values
        ]
        if any(chance):
            known = f"a constant has {scale.constant:.3g}, references reach {scale.ceiling:.3g}"
            figure = f"{view.anatomy.metric} {base.text}; {known}"
            yield Symptom("metric_at_chance", figure, seeds=_seeds(chance))
    if base.train_score - base.score > 0.1:
        yield Symptom("train_val_gap", f"training {base.train_score:.3g}, validation {base.score:.3g}")
    after = view.after
    if after is not None and after.outputs is not None and np.isfinite(after.outputs).all():
        spread, size = float(np.std(after.outputs, axis=0).max()), float(np.abs(after.outputs).max())
        if spread < TINY_SPREAD * max(size, 1e-3) or _same_answer(view, after):
            yield Symptom("constant_output", f"outputs differ by {spread:.2g} between rows")
    if after is not None and np.isfinite(after.loss) and np.isfinite(after.train_loss):
        apart = abs(after.train_loss - after.loss)
        if apart > 0.3 * max(abs(after.loss), abs(after.train_loss)) and view.anatomy.problem.noisy:
            yield Symptom(
                "mode_gap",
                f"loss {after.train_loss:.3g} in training mode, {after.loss:.3g} in evaluation mode",
            )


def _same_answer(view: View, after: Probe) -> bool:
    """Return whether the same class is given for all rows, of data with several."""
    outputs = after.outputs
    if outputs is None or view.anatomy.kind not in (CLASSES, BINARY):
        return False
    flat = outputs.reshape(len(outputs), -1)
    answers = flat.argmax(axis=1) if view.anatomy.kind == CLASSES else flat[:, 0] > view.anatomy.boundary
    return len(np.unique(answers)) == 1


def _of_layers(view: View) -> Iterator[Symptom]:
    for probe, when in ((view.probe, "at the start"), (view.after, "after training")):
        if probe is None or not probe.layers:
            continue
        first, last = probe.layers[0], probe.layers[-1]
        largest = max(layer.gradient for layer in probe.layers)
        if len(probe.layers) > 1 and first.gradient < 1e-3 * max(largest, 1e-30):
            yield Symptom(
                "grad_vanishing",
                f"gradient {first.gradient:.2g} at the first layer, {last.gradient:.2g} at the last, {when}",
                where=first.path,
            )
        if largest > 1e3 or not np.isfinite(largest):
            yield Symptom("grad_exploding", f"gradient of norm {largest:.2g} {when}")
        dead = max((layer.dead or 0.0, layer.path) for layer in probe.layers)
        if dead[0] > 0.4:
            yield Symptom(
                "units_dead", f"{dead[0]:.0%} of its units are 0 for all rows {when}", where=dead[1]
            )
        flat = max((layer.saturated or 0.0, layer.path) for layer in probe.layers)
        if flat[0] > 0.4:
            yield Symptom(
                "units_saturated", f"{flat[0]:.0%} of its values are on the flat ends {when}", where=flat[1]
            )


def of_symptoms(found: Iterator[Symptom]) -> tuple[Symptom, ...]:
    """Return symptoms with one of each name, the first."""
    by_name: dict[str, Symptom] = {}
    for each in found:
        by_name.setdefault(each.name, each)
    return tuple(by_name.values())


CLOSED_KINDS = (SELF, TEXT)
