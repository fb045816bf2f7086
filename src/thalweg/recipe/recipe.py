"""`Recipe`: how a problem is learned. A frozen pytree: numbers are leaves, choices are structure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.arguments import checked
from thalweg.core.caller import setting
from thalweg.core.choice import Choice, component, components, integer, number, option
from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import ENDING_SETTINGS
from thalweg.recipe import vary
from thalweg.recipe.averaging import AVERAGES, Average, NoAverage
from thalweg.recipe.groups import GROUPS, ParamGroup, grouped_rule
from thalweg.recipe.optimizers import OPTIMIZERS, AdamW, CustomRule, Optimizer, as_optimizer
from thalweg.recipe.recompute import check_recompute
from thalweg.recipe.schedules import SCHEDULES, Constant, Schedule, as_schedule
from thalweg.recipe.settings import with_setting

FULL = "full"
CONTINUED = "continued"
MOST_STEPS = 2**31 - 1  # updates are counted in 32 bits on the device


def _limit(doc: str, source: str = "") -> Any:
    """Declare a number above 0 that is off (None) by default."""
    return number(None, low=0.0, open_low=True, optional=True, doc=doc, source=source)


class Recipe(Choice):
    """How a problem is learned.

    Numbers (learning rate, decay, clipping, ...) may differ between lanes and never recompile; choices
    (which optimizer, batch size, shuffling) select the program.

    Example:
        >>> Recipe(AdamW(lr=3e-4), batch_size=64, epochs=20, clip_norm=1.0)
    """

    name: ClassVar[str] = "recipe"
    refused: ClassVar[Mapping[str, str]] = {
        "lr": "it belongs to the optimizer: optimizer.lr",
        "momentum": "it belongs to the optimizer: optimizer.momentum, or optimizer.b1 in Adam's family",
        "weight_decay": "it belongs to the optimizer: optimizer.weight_decay",
    }

    optimizer: Optimizer = component(
        AdamW(), among=OPTIMIZERS, doc="The update rule.", converter=as_optimizer
    )
    schedule: Schedule = component(
        Constant(),
        among=SCHEDULES,
        doc="How the learning rate changes over the run.",
        converter=as_schedule,
    )
    batch_size: int | str = integer(
        128,
        low=1,
        words=(FULL,),
        doc="Examples in an update: 1 is one at a time, full is the whole training split.",
    )
    epochs: int | None = integer(None, low=1, optional=True, doc="Passes over the training split.")
    steps: int | None = integer(None, low=1, optional=True, doc="Updates, instead of epochs.")
    shuffle: str = option(
        "reshuffle",
        among=("reshuffle", "once", "none", "replacement", CONTINUED),
        doc="A new order each epoch, one order for all, the data's own, drawn with replacement, or windows "
        "that continue row by row from batch to batch, so that a recurrent model carries its state.",
    )
    last_batch: str = option(
        "keep", among=("keep", "drop"), doc="Whether to train on an epoch's last, short batch."
    )
    augment: str = option(
        "none",
        among=("none", "flip", "crop", "crop-flip", "crop-flip-cutout"),
        doc="Random changes of training images: shifts, mirror images, a blank square.",
        source="He et al., Deep Residual Learning, 2016, section 4.2; DeVries & Taylor, Cutout, 2017",
    )
    accumulate: int = integer(
        1, low=1, doc="Microbatches that a batch is divided into, to save memory; same gradient."
    )
    recompute: str = option(
        "none",
        doc="What of the forward pass is computed again instead of kept, to save memory: none, blocks:4 "
        "(all but the last of 4 blocks), blocks:16:3 (the first 3 of 16), sqrt (the root of the number of "
        "layers); same gradient.",
        source="Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016",
    )
    clip_norm: float | None = _limit(
        "Global gradient norm above which it is scaled down.",
        "Pascanu et al., On the Difficulty of Training Recurrent Neural Networks, 2013",
    )
    clip_value: float | None = _limit("Largest size of each number in the gradient.")
    agc: float | None = _limit(
        "Adaptive clipping: largest norm of a row's gradient, as a share of the row's own norm.",
        "Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021",
    )
    noise: float | None = number(
        None,
        low=0.0,
        optional=True,
        doc="Variance of noise added to gradients at the first step.",
        source="Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks, 2015",
    )
    noise_decay: float = number(
        0.55,
        low=0.0,
        doc="Exponent with which the noise's variance falls: noise/(1+t)^noise_decay.",
        source="Neelakantan et al. 2015",
    )
    skip_nonfinite: bool = option(
        False, among=(False, True), doc="Skip updates whose gradient is not finite, instead of stopping."
    )
    rate_rule: str = option(
        "none",
        among=("none", "linear", "sqrt"),
        doc="How the learning rate grows with the batch: times b/rate_batch, or its root.",
        source="Goyal et al. 2017 (linear); Krizhevsky, One Weird Trick, 2014 (sqrt)",
    )
    rate_batch: int = integer(
        256, low=1, doc="Batch size that the learning rate was chosen for.", source="Goyal et al. 2017"
    )
    groups: tuple[ParamGroup, ...] = components(
        among=GROUPS, doc="Parameters trained differently; the first matching group applies."
    )
    averaging: Average = component(NoAverage(), among=AVERAGES, doc="Which weights are evaluated and saved.")
    precision: str = option(
        "f32",
        among=("f32", "bf16", "f16", "f64"),
        doc="Dtype of the forward and backward pass; weights stay f32 (f64 for f64).",
    )
    patience: int | None = integer(
        None,
        low=1,
        optional=True,
        doc="Evaluations without a better validation loss after which training stops.",
    )
    target: float | None = number(
        None,
        optional=True,
        doc="Value of the metric on the validation split at which training stops.",
    )
    loss_change_below: float | None = _limit(
        "Training stops when the loss changes by less from one evaluation to the next: the validation "
        "loss, or without a validation split the mean training loss between evaluations."
    )
    gradient_below: float | None = _limit(
        "Training stops before the update whose gradient, before clipping, has a smaller global norm."
    )
    seconds: float | None = _limit(
        "Seconds of training, without compilation and evaluations, after which it stops."
    )
    seed: int = integer(0, low=0, high=2**63 - 1, doc="Seed of initial weights, data order and noise.")

    def __check_init__(self) -> None:
        super().__check_init__()  # field by field first: what follows relies on it
        if self.epochs is not None and self.steps is not None:
            got = f"epochs={self.epochs}, steps={self.steps}"
            raise RecipeError("recipe", "takes epochs or steps, not both", got=got, hint="leave one out")
        if isinstance(self.batch_size, int) and self.accumulate > self.batch_size:
            raise RecipeError(
                "recipe",
                "accumulate must be at most batch_size: a microbatch needs an example",
                got=f"accumulate={self.accumulate}, batch_size={self.batch_size}",
                hint=f"use {setting('accumulate', self.batch_size)}",
            )
        check_recompute(self.recompute)
        if self.rate_rule != "none" and self.batch_size == FULL:
            hint = f"use {setting('rate_rule', 'none')}, or give batch_size a number"
            rule = "rate_rule needs a batch_size in examples"
            raise RecipeError("recipe", rule, got=self.batch_size, hint=hint)
        if self.optimizer.line_search:
            _check_line_search(self)
        if self.groups and self.optimizer.needs_closure:
            raise RecipeError(
                self.optimizer.name,
                "evaluates the loss at other weights and so takes no parameter groups",
                got=f"{len(self.groups)} groups",
                hint="leave groups out, or take another optimizer",
            )
        if any(group.is_adapted for group in self.groups):
            self._check_adapters()
        for group in self.groups:
            if group.weight_decay is not None and "weight_decay" not in type(self.optimizer).described():
                raise RecipeError(
                    "recipe",
                    f"{self.optimizer.name} has no weight_decay to change in a group",
                    got=group.weight_decay,
                    hint="leave it out of the group, or take adamw or sgd",
                )

    def _check_adapters(self) -> None:
        averaged = type(self.optimizer).evaluated is not Optimizer.evaluated
        if averaged and not isinstance(self.optimizer, CustomRule):
            raise RecipeError(
                self.optimizer.name,
                "evaluates an average of the weights and so takes no adapters",
                got="adapter='lora'",
                hint="take another optimizer, such as adamw",
            )

    @checked(RecipeError)
    def length(self, epoch_steps: int) -> int:
        """Return the number of updates; 10 epochs when neither epochs nor steps are set."""
        return self.steps if self.steps is not None else (self.epochs or 10) * epoch_steps

    @checked(RecipeError)
    def batch(self, examples: int) -> int:
        """Return the batch size in examples, for a training split of `examples`."""
        return examples if isinstance(self.batch_size, str) else self.batch_size

    def rate_factor(self) -> float:
        """Return the factor that `rate_rule` gives every learning rate."""
        if isinstance(self.batch_size, str) or self.rate_rule == "none":
            return 1.0
        ratio = self.batch_size / self.rate_batch
        return ratio if self.rate_rule == "linear" else ratio**0.5

    def update_rule(
        self,
        roles: PyTree,
        factor: Float[Array, ""] | float = 1.0,
        momentum: Float[Array, ""] | None = None,
    ) -> optax.GradientTransformationExtraArgs:
        """Build the Optax rule for one step: schedule, `rate_rule`, optimizer and parameter groups together.

        Its `init` does not depend on factor and momentum. The recipe's numbers may be traced.

        Args:
            roles: The role of every parameter (`core.tree.roles`).
            factor: The schedule's factor at this step.
            momentum: The schedule's momentum at this step, or None.

        Raises:
            RecipeError: A parameter group has no parameter.
        """
        optimizer = self.optimizer.scaled(factor * self.rate_factor(), momentum)
        if not self.groups:
            return optimizer.transform(roles)
        return grouped_rule(optimizer, self.groups, roles)

    @checked(RecipeError)
    def shortened(self, steps: int, total: int) -> "Recipe":
        """Return the recipe for `steps` updates in place of `total`: the same schedule over a shorter run.

        Lengths in steps or epochs shrink with the run. What is counted per update (momentum, decay, Adam's
        moments, gradient noise) stays the same. Conditions that end a run early are switched off, because a
        run that stopped early cannot be compared.

        Example:
            >>> whole = Recipe(schedule=WarmupCosine(warmup=100, unit="steps"), steps=1000)
            >>> whole.shortened(50, 1000).schedule.warmup
            5.0
        """
        share = steps / total
        lengths = {"steps": steps, "epochs": None} | dict.fromkeys(ENDING_SETTINGS)
        schedule, averaging = self.schedule.shortened(share), self.averaging.shortened(share)
        return replace(self, schedule=schedule, averaging=averaging, **lengths)

    @checked(RecipeError)
    def vary(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> list["Recipe"]:
        """Return one recipe for every combination of values: `vary(lr=[1e-3, 1e-2], seed=range(3))`.

        A setting is given by its full path, as in `vary({"optimizer.lr": [1e-3, 1e-2]})`, or by the end of
        the path where that is unambiguous. Values are an iterable, or text such as `"1e-5..1e-1:32log"`. The
        last setting changes fastest. See `recipe.vary.product`.

        Raises:
            RecipeError: An unknown or ambiguous setting, no values, or a value out of range.
        """
        return vary.product(self, {**(values or {}), **named})

    @checked(RecipeError)
    def vary_together(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> list["Recipe"]:
        """Return one recipe for each row of columns of one length: `vary_together(lr=rates, b1=decays)`.

        Raises:
            RecipeError: As for `vary`, or the lengths differ.
        """
        return vary.zipped(self, {**(values or {}), **named})

    @checked(RecipeError)
    def sample(self, count: int, space: Mapping[str, Any], *, key: Any = 0) -> list["Recipe"]:
        """Return `count` recipes spread evenly over ranges: `sample(64, {"lr": (1e-5, 1e-1)}, key=0)`.

        A pair is a logarithmic range; `Range(0, 0.5, log=False)` and lists of choices are also accepted. The
        points are those of a scrambled Sobol sequence, and the same `key` (a seed, or a JAX key) gives the
        same points. See `recipe.vary.sample`.

        Raises:
            RecipeError: As for `vary`, or an invalid range.
        """
        return vary.sample(self, count, space, key)


def rate_path(recipe: Recipe) -> str:
    """Return the path of the learning rate, `optimizer.lr` or `optimizer.base.lr`; the first of several.

    Raises:
        RecipeError: The optimizer has none.
    """
    optimizer = recipe.optimizer
    if not optimizer.rates:
        raise RecipeError(optimizer.name, f"takes no 'lr': {optimizer.refused['lr']}", hint="leave it out")
    return f"optimizer.{optimizer.rates[0]}"


def check_rate_can_be_searched(recipe: Recipe) -> None:
    """Reject a recipe without a learning rate to search for.

    Raises:
        RecipeError: The optimizer has no learning rate, or estimates it.
    """
    optimizer = recipe.optimizer
    reason = None
    if not optimizer.rates:
        reason = "a line search finds its step length at every update"
    elif optimizer.estimates_rate:
        reason = f"{optimizer.name} estimates its own, and lr is a factor of it"
    if reason is not None:
        hint = "train it as it is, or choose another optimizer"
        rule = f"needs an optimizer with a learning rate; {reason}"
        raise RecipeError("find_lr", rule, got=optimizer.name, hint=hint)


def own_rate(recipe: Recipe) -> float:
    """Return the recipe's learning rate, the first of several; NaN where there is none."""
    return float(recipe.optimizer.first_rate())


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return the recipe with another learning rate; further ones, such as Muon's, change in proportion.

    Where the recipe's own rate is 0 the others do not change.
    """
    own = own_rate(recipe)
    settings = with_setting(recipe.to_dict(), rate_path(recipe), rate)
    if own > 0:
        scaled = recipe.optimizer.scaled(rate / own).to_dict()
        for name in recipe.optimizer.rates[1:]:
            settings = with_setting(settings, f"optimizer.{name}", float(scaled[name]))
    return Recipe.from_dict(settings)


def _check_line_search(recipe: Recipe) -> None:
    who = recipe.optimizer.name
    if recipe.batch_size != FULL:
        raise RecipeError(
            who,
            "needs the whole training split in every update",
            got=f"batch_size={recipe.batch_size}",
            hint=f"use {setting('batch_size', FULL)}",
        )
    if not isinstance(recipe.schedule, Constant):
        raise RecipeError(
            who,
            "finds its own step length and takes no schedule",
            got=recipe.schedule.name,
            hint=f"use {setting('schedule', 'constant')}",
        )
    for name in ("clip_norm", "clip_value", "agc", "noise"):
        if getattr(recipe, name) is not None:
            raise RecipeError(
                who,
                f"needs the unchanged gradient, without {name}",
                got=getattr(recipe, name),
                hint=f"leave {name} out",
            )
