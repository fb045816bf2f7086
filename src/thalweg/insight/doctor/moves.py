"""The single changes that the doctor can make: each a word of the vocabulary, and what it does to a plan.

For models that are architectures of the library, a change is a setting where there is one, so that it can be
given on the command line; any other module is changed in its program (`edited`).
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from thalweg.insight.doctor.anatomy import Anatomy
from thalweg.insight.doctor.diagnosis import Change
from thalweg.insight.doctor.edited import LINEAR, Constant
from thalweg.insight.doctor.plan import Move, Plan, architecture_of
from thalweg.insight.doctor.usual import usual_loss
from thalweg.problem.data.split import Rows as RowsSplit
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe, own_rate, with_rate
from thalweg.recipe.schedules import Constant as ConstantRate
from thalweg.recipe.schedules import Warmup
from thalweg.recipe.settings import with_setting

# Adam's rates for small networks; 0.001 is its authors' default, 0.01 gets further in few updates.
ADAM_RATES = (1e-3, 1e-2)
HIDDEN = "relu"
CLIP = 1e-6


def rate(recipe: Recipe, factor: float) -> Move:
    """Multiply the learning rate."""
    before = own_rate(recipe)
    after = float(f"{before * factor:.3g}")  # a figure to write into a recipe
    change = Change("lower_lr" if factor < 1 else "raise_lr", "recipe.optimizer.lr", before, after)
    return Move(change, lambda plan: replace(plan, recipe=with_rate(plan.recipe, after)))


def adam(recipe: Recipe, lr: float) -> Move:
    """Use Adam with a usual rate, without the recipe's schedule."""
    change = Change("set_optimizer", "recipe.optimizer", recipe.optimizer.name, f"adam, lr {lr:g}")

    def apply(plan: Plan) -> Plan:
        return replace(plan, recipe=replace(plan.recipe, optimizer=Adam(lr=lr), schedule=ConstantRate()))

    return Move(change, apply)


def setting(fix: str, recipe: Recipe, path: str, value: Any) -> Move:
    """Set a setting of the recipe."""
    before: Any = recipe.to_dict()
    for part in path.split("."):
        before = before.get(part) if isinstance(before, dict) else None

    def apply(plan: Plan) -> Plan:
        return replace(plan, recipe=Recipe.from_dict(with_setting(plan.recipe.to_dict(), path, value)))

    return Move(Change(fix, f"recipe.{path}", before, value), apply)


def longer(recipe: Recipe, factor: int) -> Move:
    """Train a multiple of the time."""
    name = "steps" if recipe.steps is not None else "epochs"
    before = recipe.steps if recipe.steps is not None else recipe.epochs or 10
    change = Change("train_longer", f"recipe.{name}", before, before * factor)

    def apply(plan: Plan) -> Plan:
        now = plan.recipe.steps if plan.recipe.steps is not None else plan.recipe.epochs or 10
        return replace(plan, recipe=replace(plan.recipe, **{name: now * factor}))

    return Move(change, apply)


def batch(anatomy: Anatomy, size: int) -> Move:
    """Use another batch size, with as many epochs as the recipe has."""
    before = anatomy.recipe.batch_size
    count = anatomy.recipe.batch(anatomy.problem.data.train.count())
    fix = "raise_batch" if size > count else "lower_batch"
    return Move(
        Change(fix, "recipe.batch_size", before, size),
        lambda plan: replace(plan, recipe=replace(plan.recipe, batch_size=size)),
    )


def warmup(recipe: Recipe) -> Move:
    """Ramp the rate up over the first tenth."""
    change = Change("add_warmup", "recipe.schedule", recipe.schedule.name, "warmup over a tenth")
    return Move(
        change,
        lambda plan: replace(plan, recipe=replace(plan.recipe, schedule=Warmup(length=0.1, unit="fraction"))),
    )


def hidden(anatomy: Anatomy, name: str = HIDDEN) -> Move:
    """Use an activation between all layers."""
    own = architecture_of(anatomy.problem, "activation")
    before = getattr(anatomy.problem.model, "activation", None) if own else None
    line = None if own else f"h = jax.nn.{name}(layer(h))  # after every hidden layer"
    change = Change("set_hidden_activation", "model" if own else "model.hidden", before, name, line)
    if own:
        return Move(
            change, lambda plan: replace(plan, architecture={**plan.architecture, "activation": name})
        )
    return Move(change, lambda plan: plan.edited(hidden=name))


def output(anatomy: Anatomy, name: str, where: str) -> Move:
    """Replace the function after the last layer."""
    line = "return last_layer(h)" if name == LINEAR else f"return jax.nn.{name}(last_layer(h))"
    change = Change("set_output_activation", where, None, name, line)
    return Move(change, lambda plan: plan.edited(output=name))


def normalised(anatomy: Anatomy, *, skip: bool = False) -> Move:
    """Put a layer norm (and skips) after hidden layers, or the architecture's own."""
    own = architecture_of(anatomy.problem, "normalisation")
    line = "h = act(norm(layer(h)))" if not skip else "h = h + act(norm(layer(h)))"
    change = Change(
        "add_skip_or_norm",
        "model",
        None,
        "layer norm and skips" if skip else "layer norm",
        None if own else line,
    )

    def apply(plan: Plan) -> Plan:
        if own:
            named = {"normalisation": "layer"} | (
                {"skip": True} if skip and architecture_of(anatomy.problem, "skip") else {}
            )
            return replace(plan, architecture={**plan.architecture, **named})
        return plan.edited(normalise=True, skip=skip or plan.edits.skip)

    return Move(change, apply)


def init(anatomy: Anatomy) -> Move:
    """Draw other initial weights."""
    if architecture_of(anatomy.problem, "initialisation"):
        change = Change("set_init", "model", anatomy.problem.model.initialisation, "he")
        return Move(
            change, lambda plan: replace(plan, architecture={**plan.architecture, "initialisation": "he"})
        )
    line = (
        "weight = (2 / (inputs + outputs)) ** 0.5 * jax.random.normal(key, shape); bias = jnp.zeros(outputs)"
    )
    return Move(Change("set_init", "model", None, "glorot", line), lambda plan: replace(plan, init="glorot"))


def scale_inputs(anatomy: Anatomy) -> Move:
    """Standardise the inputs: one shift and scale for each column, or for all numbers of an image."""
    x = np.asarray(anatomy.train.x, np.float64)
    axes = (0,) if x.ndim == 2 else tuple(range(x.ndim))
    mean, scale = x.mean(axis=axes), x.std(axis=axes)
    scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0)
    shift, factor = Constant.of(-mean), Constant.of(1 / scale)
    line = "x = (x - x.mean(axis=0)) / x.std(axis=0)"
    change = Change("scale_inputs", "data.inputs", _range(x), "mean 0, standard deviation 1", line)
    return Move(change, lambda plan: plan.edited(input_shift=shift, input_scale=factor))


def scale_targets(anatomy: Anatomy) -> Move:
    """Train on standardised targets: the model gives values in the target's unit, the loss is divided."""
    y = np.asarray(anatomy.train.y, np.float64).reshape(anatomy.train.count, -1)
    outputs = np.asarray(anatomy.first.outputs).shape[1:]
    mean, scale = y.mean(axis=0), y.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    shift, factor = (
        Constant.of(np.broadcast_to(each.reshape(-1), (len(mean),)).reshape(outputs))
        for each in (mean, scale)
    )
    line = "y = (y - y.mean()) / y.std()"
    change = Change("scale_targets", "data.targets", _range(y), "mean 0, standard deviation 1", line)
    loss = float(1 / np.mean(scale**2))

    def apply(plan: Plan) -> Plan:
        return replace(
            plan.edited(output_shift=shift, output_scale=factor), loss_scale=plan.loss_scale * loss
        )

    return Move(change, apply)


def relabelled(anatomy: Anatomy, scale: float, shift: float, line: str) -> Move:
    """Give the loss labels of another form."""
    y = np.asarray(anatomy.train.y)
    change = Change("fix_label_encoding", "data.targets", _range(y), _range(y * scale + shift), line)
    return Move(change, lambda plan: replace(plan, relabel=(scale, shift), leaf=anatomy.leaf))


def clipped_output() -> Move:
    """Keep probabilities away from 0 and 1, where a logarithm is infinite."""
    change = Change(
        "stabilise_loss", "loss", None, f"clip {CLIP:g}", f"p = jnp.clip(p, {CLIP:g}, 1 - {CLIP:g})"
    )
    return Move(change, lambda plan: plan.edited(output_clip=CLIP))


def scaled_loss(fix: str, factor: float, line: str) -> Move:
    """Multiply the loss by a number: -1 turns an uphill step round, 1/n makes a mean of a sum."""
    change = Change(fix, "loss", None, f"times {factor:g}", line)
    return Move(change, lambda plan: replace(plan, loss_scale=plan.loss_scale * factor))


def loss(name: Any, line: str) -> Move:
    """Use another loss; for problems with a loss."""
    change = Change("set_loss", "loss", None, getattr(name, "__name__", str(name)), line)
    return Move(change, lambda plan: replace(plan, loss=name))


def usual(anatomy: Anatomy, *, probabilities: bool, distance: bool = False) -> Move:
    """Use the usual loss for the targets and for outputs of a form: see `usual_loss`."""
    function, line = usual_loss(anatomy, probabilities=probabilities, distance=distance)
    change = Change("set_loss", "loss", None, function.__name__, line)
    leaf = -1 if anatomy.leaf is None else anatomy.leaf  # of data with targets, these come last
    return Move(change, lambda plan: replace(plan, loss=function, leaf=leaf))


def unpenalised(why: str) -> Move:
    """Leave out what the loss adds for the weights alone."""
    change = Change("lower_decay", "loss", why, 0.0, "loss = data_loss  # without the penalty of the weights")
    return Move(change, lambda plan: replace(plan, penalty=False))


def without_columns(anatomy: Anatomy, columns: Any) -> Move:
    """Give the model 0 in place of some input columns."""
    shape = np.asarray(anatomy.train.x).shape[1:]
    kept = np.ones(int(np.prod(shape)))
    kept[columns] = 0.0
    named = ", ".join(str(int(each)) for each in np.flatnonzero(kept == 0)[:5])
    line = f"x = np.delete(x, [{named}], axis=1)"
    change = Change("drop_dead_inputs", "data.inputs", f"column {named}", 0.0, line)
    shift, scale = Constant.of(np.zeros(shape)), Constant.of(kept.reshape(shape))
    return Move(change, lambda plan: plan.edited(input_shift=shift, input_scale=scale))


def dropout(share: float, before: float) -> Move:
    """Drop fewer units."""
    change = Change("lower_dropout", "model", before, share, f"eqx.nn.Dropout({share:g})")
    return Move(change, lambda plan: replace(plan, dropout=share))


def no_batch_norm() -> Move:
    """Normalise each example by itself."""
    change = Change("replace_batchnorm", "model", "batch norm", "layer norm", "eqx.nn.LayerNorm(width)")
    return Move(change, lambda plan: replace(plan, batch_norm=False))


def wider(anatomy: Anatomy, width: int = 64) -> Move:
    """Give the model more units: wider layers, or a second network beside it."""
    inputs = int(np.prod(np.asarray(anatomy.train.x).shape[1:]))
    outputs = int(np.prod(np.asarray(anatomy.first.outputs).shape[1:]))
    model = anatomy.problem.model
    if architecture_of(anatomy.problem, "sizes"):
        first, *_, last = model.sizes
        if type(model).name == "mlp":
            change = Change("widen", "model", list(model.sizes), [first, width, width, last])
            return Move(
                change,
                lambda plan: replace(
                    plan, architecture={**plan.architecture, "sizes": (first, width, width, last)}
                ),
            )
    line = f"hidden layers of {width} units: {inputs} -> {width} -> {width} -> {outputs}"
    change = Change("widen", "model", None, [inputs, width, width, outputs], line)
    return Move(change, lambda plan: replace(plan, branch=(inputs, width, width, outputs)))


def shuffled(recipe: Recipe) -> Move:
    """Read the rows in a new order each epoch."""
    return setting("shuffle_data", recipe, "shuffle", "reshuffle")


def mixed_splits(anatomy: Anatomy) -> Move:
    """Divide the rows of training and validation again, at random."""
    data = anatomy.problem.data
    change = Change(
        "fix_split", "data.splits", "in the order of the rows", "random", "shuffle the rows before splitting"
    )

    def joined(first: Any, second: Any) -> Any:
        return np.concatenate([np.asarray(first), np.asarray(second)])

    def apply(plan: Plan) -> Plan:
        train, held = data.train, data.validation
        if not isinstance(train, RowsSplit) or not isinstance(held, RowsSplit):
            return plan

        count, total = held.count(), train.count() + held.count()
        order = np.random.default_rng(0).permutation(total)
        both = jax.tree.map(joined, train, held)
        parts = [jax.tree.map(lambda leaf, at=at: leaf[at], both) for at in (order[count:], order[:count])]
        return replace(plan, data=replace(data, train=parts[0], validation=parts[1]))

    return Move(change, apply)


def unshared(anatomy: Anatomy, shared: Any) -> Move:
    """Leave out validation rows that are also training rows.

    Args:
        anatomy: The problem.
        shared: For each row of the validation split, whether it is one.
    """
    data = anatomy.problem.data
    line = "train, held = split(unique(rows))  # each row in one split only"
    change = Change("fix_split", "data.splits", f"{int(np.sum(shared))} rows in both", "rows in one", line)

    def apply(plan: Plan) -> Plan:
        kept = np.flatnonzero(~np.asarray(shared))
        held = jax.tree.map(lambda leaf: np.asarray(leaf)[kept], data.validation)
        return replace(plan, data=replace(plan.data or data, validation=held))

    return Move(change, apply)


def matched(anatomy: Anatomy) -> Move:
    """Bring validation inputs to the means and scales of the training inputs, column by column."""
    data, shape = anatomy.problem.data, np.asarray(anatomy.train.x).shape[1:]
    line = "x_held = (x_held - x_train_mean) / x_train_std  # the training rows' own, as for training"
    change = Change("match_eval_data", "data.validation", "as given", "as the training rows", line)

    def moved(leaf: Any, like: Any) -> Any:
        leaf, like = np.asarray(leaf), np.asarray(like)
        if leaf.dtype.kind not in "fiu" or leaf.shape[1:] != shape or like.dtype.kind != "f":
            return leaf
        axes = 0 if leaf.ndim == 2 else None
        factor = like.std(axis=axes) / np.maximum(leaf.std(axis=axes), 1e-12)
        return ((leaf - leaf.mean(axis=axes)) * factor + like.mean(axis=axes)).astype(like.dtype)

    def apply(plan: Plan) -> Plan:
        train, held = data.train, data.validation
        if not isinstance(train, RowsSplit) or not isinstance(held, RowsSplit):
            return plan
        held = replace(held, inputs=jax.tree.map(moved, held.inputs, train.inputs))
        return replace(plan, data=replace(plan.data or data, validation=held))

    return Move(change, apply)


def _range(values: np.ndarray) -> str:
    return f"{float(np.min(values)):.4g} to {float(np.max(values)):.4g}"
