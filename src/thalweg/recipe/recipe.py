"""`Recipe`: how a problem is learned. A frozen pytree: numbers are leaves, choices are structure."""

from collections.abc import Mapping
from typing import Any, ClassVar

from thalweg.core.choice import Choice, integer, number, option, part
from thalweg.core.errors import RecipeError
from thalweg.recipe.optimizers import OPTIMIZERS, AdamW, Optimizer
from thalweg.recipe.schedules import SCHEDULES, Constant, Schedule


class Recipe(Choice):
    """How a problem is learned.

    Numbers (learning rate, decay, clipping, ...) may differ between lanes and never recompile; choices
    (which optimizer, batch size, shuffling) select the program.

    Example:
        >>> Recipe(AdamW(lr=3e-4), batch_size=64, epochs=20, clip_norm=1.0)
    """

    name: ClassVar[str] = "recipe"

    optimizer: Optimizer = part(AdamW(), among=OPTIMIZERS, doc="The update rule.")
    schedule: Schedule = part(Constant(), among=SCHEDULES, doc="How the learning rate moves.")
    batch_size: int = integer(128, low=1, doc="Examples in an update.")
    epochs: int | None = integer(None, low=1, optional=True, doc="Passes over the training part.")
    steps: int | None = integer(None, low=1, optional=True, doc="Updates, instead of epochs.")
    shuffle: str = option(
        "reshuffle", among=("reshuffle", "once", "none"),
        doc="A new order each epoch, one order for all, or the data's own.",
    )  # fmt: skip
    last_batch: str = option("keep", among=("keep", "drop"), doc="What becomes of an epoch's last, short batch.")
    clip_norm: float | None = number(
        None, low=0.0, open_low=True, optional=True, doc="Global gradient norm above which it is scaled down.",
        source="Pascanu et al., On the Difficulty of Training Recurrent Neural Networks, 2013",
    )  # fmt: skip
    patience: int | None = integer(
        None, low=1, optional=True,
        doc="Evaluations without a better validation loss after which training stops.",
    )  # fmt: skip
    seed: int = integer(0, low=0, high=2**63 - 1, doc="Seed of start, order and noise.")

    def __check_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise RecipeError("recipe", "takes epochs or steps, not both",
                              got=f"epochs={self.epochs}, steps={self.steps}")  # fmt: skip

    def length(self, epoch_steps: int) -> int:
        """Return how many updates the run has; 10 epochs when neither epochs nor steps are given."""
        return self.steps if self.steps is not None else (self.epochs or 10) * epoch_steps


def with_setting(given: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return recipe settings (nested plain values) with the one at a dotted `path` replaced.

    Naming another optimizer or schedule replaces the whole part: its numbers mean other things there.
    Epochs replace steps and the other way round.
    """
    head, _, rest = path.partition(".")
    changed = dict(given)
    if not rest:
        changed.pop({"epochs": "steps", "steps": "epochs"}.get(head, ""), None)
        changed[head] = value
        return changed
    inner = changed.get(head, {})
    inner = {"name": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, Mapping):
        raise RecipeError("recipe", f"{head} has no setting {rest!r}", got=path)
    changed[head] = with_setting(inner, rest, value)
    return changed
