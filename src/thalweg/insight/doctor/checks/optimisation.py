"""Checks of the recipe: rate, batch, length, decay, optimizer, and what the curves say."""

from collections.abc import Iterator

import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.recipe.recipe import own_rate

# Rates far from these are unusual for an optimizer: its authors' default and common practice.
USUAL = {"adam": (1e-4, 1e-2), "adamw": (1e-4, 1e-2), "sgd": (3e-3, 0.3), "rmsprop": (1e-4, 1e-2)}
# Weight decay from which on it competes with the loss, and updates below which a run is very short.
STRONG_DECAY, FEW_UPDATES = 0.3, 60
# Share of the whole fall of the loss that the last quarter still brings, where a run is too short.
FALLING = 0.08


def high_rate(view: View) -> Iterator[Finding]:
    """A rate beyond what the optimizer is used with, or curves that diverge or swing."""
    recipe = view.recipe
    if not recipe.optimizer.rates:
        return
    own, usual = own_rate(recipe), USUAL.get(recipe.optimizer.name, (1e-5, 1.0))
    down = ((moves.rate(recipe, 0.1),), (moves.rate(recipe, 0.01),))
    if own > usual[1]:
        # Short arms favour high rates, so both are usual ones: a multiple of the own rate may do for a while.
        down = ((moves.rate(recipe, 0.5 * usual[1] / own),), (moves.rate(recipe, _middle(usual) / own),))
    if own > usual[1] * 1.5:
        weight = 0.7 if own > 5 * usual[1] else 0.45
        yield Finding(
            "lr_high",
            weight,
            f"{recipe.optimizer.name} with a rate of {own:g}; usual are {usual[0]:g} to {usual[1]:g}",
            down,
        )
    elif view.base is not None and any(view.base.diverged):
        yield Finding("lr_high", 0.4, f"{view.base.text}", down)
    elif view.base is not None and view.base.swing > 0.5:
        yield Finding("lr_high", 0.35, f"the loss swings by {view.base.swing:.0%} of its fall", down)
    else:
        yield Finding("lr_high", 0.15, f"a rate of {own:g}", down)


def is_fast(view: View) -> bool:
    """Return whether the rate is beyond what the optimizer is used with."""
    recipe = view.recipe
    known = recipe.optimizer.name in USUAL and bool(recipe.optimizer.rates)
    return known and own_rate(recipe) > 1.5 * USUAL[recipe.optimizer.name][1]


def _middle(usual: tuple[float, float]) -> float:
    """Return the geometric mean of usual rates."""
    return float(np.sqrt(usual[0] * usual[1]))


def low_rate(view: View) -> Iterator[Finding]:
    """A rate far below what the optimizer is used with, or weights that hardly move."""
    recipe = view.recipe
    if not recipe.optimizer.rates:
        return
    own, usual = own_rate(recipe), USUAL.get(recipe.optimizer.name, (1e-5, 1.0))
    up = ((moves.rate(recipe, 10.0),), (moves.rate(recipe, 100.0),))
    if own < usual[0]:
        up = ((moves.rate(recipe, usual[1] / own),), (moves.rate(recipe, _middle(usual) / own),))
    if own < usual[0] / 1.5:
        weight = 0.75 if own < usual[0] / 5 else 0.45
        yield Finding(
            "lr_low",
            weight,
            f"{recipe.optimizer.name} with a rate of {own:g}; usual are {usual[0]:g} to {usual[1]:g}",
            up,
        )
    elif view.base is not None and view.base.falling > FALLING:
        yield Finding("lr_low", 0.35, f"{view.base.falling:.0%} of the fall is in the last quarter", up)
    else:
        yield Finding("lr_low", 0.2, f"a rate of {own:g}", up)


def short(view: View) -> Iterator[Finding]:
    """A run that ends while the loss is still falling, or has very few updates."""
    if view.base is None:
        return
    longer = ((moves.longer(view.recipe, 5),),)
    full = 2 * view.batch > view.anatomy.problem.data.train.count()
    if view.base.falling > FALLING:
        weight = 0.5 if view.total <= FEW_UPDATES * 5 else 0.4
        yield Finding(
            "epochs_few",
            weight,
            f"{view.base.falling:.0%} of the fall is in the last quarter of {view.total} updates",
            longer,
        )
    if view.total <= FEW_UPDATES * 2 and view.anatomy.problem.data.train.count() > 64 and full:
        size = max(8, min(32, view.anatomy.problem.data.train.count() // 8))
        if view.recipe.steps is None:
            why = f"batches of {view.batch} rows give {view.total} updates"
            yield Finding("batch_large", 0.6, why, ((moves.batch(view.anatomy, size),),))
    elif view.total <= FEW_UPDATES:
        yield Finding("epochs_few", 0.6, f"{view.total} updates", longer)


def decayed(view: View) -> Iterator[Finding]:
    """Weight decay that dominates the loss."""
    decay = float(getattr(view.recipe.optimizer, "weight_decay", 0.0) or 0.0)
    if decay > STRONG_DECAY:
        why = f"a weight decay of {decay:g}"
        weight = 0.9 if decay >= 1 else 0.4
        move = moves.setting("lower_decay", view.recipe, "optimizer.weight_decay", 0.0)
        yield Finding("decay_strong", weight, why, ((move,),))


def unsuitable(view: View) -> Iterator[Finding]:
    """Another optimizer, as something to try."""
    name = view.recipe.optimizer.name
    weight = 0.15 if name in ("adam", "adamw") else 0.4 if name in ("adadelta", "adagrad") else 0.3
    alternatives = tuple((moves.adam(view.recipe, rate),) for rate in moves.ADAM_RATES)
    yield Finding(
        "optimizer_unsuitable", weight, f"{name} with a rate of {own_rate(view.recipe):g}", alternatives
    )


def bursts(view: View) -> Iterator[Finding]:
    """Rare huge gradients, or a first phase that a ramp would survive."""
    if view.base is None or view.recipe.clip_norm is not None:
        return
    if view.base.spikes > 0 or any(view.base.diverged):
        clip = moves.setting("clip_gradients", view.recipe, "clip_norm", 1.0)
        yield Finding("clip_missing", 0.3, f"{view.base.spikes} sudden jumps of the loss", ((clip,),))
    early = [step for step in view.base.diverged_at if step is not None and step < max(20, view.total // 20)]
    if early and view.recipe.schedule.name == "constant" and view.total > 50:
        yield Finding(
            "warmup_missing", 0.15, f"divergence at update {min(early)}", ((moves.warmup(view.recipe),),)
        )


def small_batch(view: View) -> Iterator[Finding]:
    """Batches of one or two rows."""
    count = view.anatomy.problem.data.train.count()
    if view.batch <= 2 and count >= 64 and not np.isnan(view.total):
        yield Finding(
            "batch_small", 0.4, f"batches of {view.batch} rows", ((moves.batch(view.anatomy, 32),),)
        )


def unrestrained(view: View) -> Iterator[Finding]:
    """Training much better than validation, and validation worse than what simple methods reach."""
    base = view.base
    if base is None or view.anatomy.held is None or base.train_score - base.score < 0.12:
        return
    why = f"training {base.train_score:.3g}, validation {base.score:.3g}"
    decay = float(getattr(view.recipe.optimizer, "weight_decay", 0.0) or 0.0)
    patience = moves.setting("stop_early", view.recipe, "patience", 3)
    alternatives = [(patience,)]
    if hasattr(view.recipe.optimizer, "weight_decay") and decay < 0.3:
        alternatives.append(
            (moves.setting("add_regularisation", view.recipe, "optimizer.weight_decay", 0.1),)
        )
    yield Finding("regularisation_missing", 0.5, why, tuple(alternatives))


CHECKS = (
    Check(
        "high rate",
        "the rate, and the curves",
        "above 1.5 times what the optimizer is used with",
        "defaults of the optimizers' authors",
        high_rate,
    ),
    Check(
        "low rate",
        "the rate, and the curves",
        "below 2/3 of what the optimizer is used with",
        "defaults of the optimizers' authors",
        low_rate,
    ),
    Check(
        "short",
        "number of updates, and the last quarter",
        "8 % of the fall in the last quarter; 120 updates",
        "ours",
        short,
    ),
    Check("decayed", "weight decay", "above 0.3", "Loshchilov & Hutter 2019 use up to 0.1", decayed),
    Check("unsuitable", "the optimizer", "another one than Adam", "ours: an arm to try", unsuitable),
    Check("bursts", "jumps of the loss", "one", "Pascanu et al. 2013", bursts),
    Check("small batch", "the batch size", "2 rows", "ours", small_batch),
    Check("unrestrained", "training against validation", "0.12 apart", "ours", unrestrained),
)
