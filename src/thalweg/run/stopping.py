"""When to stop, and which weights were best: a reading of the validation loss, one evaluation at a time."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Best:
    """The best validation loss so far and what belongs to it.

    Args:
        patience: Evaluations without a better loss after which to stop; None never stops.
        loss, step: Of the best evaluation; infinite and -1 before the first.
        kept: What was given with the best evaluation: weights and model state.
        waited: Evaluations since.
    """

    patience: int | None
    loss: float = float("inf")
    step: int = -1
    kept: Any = field(default=None, repr=False)
    waited: int = 0

    def observe(self, loss: float, step: int, kept: Any) -> None:
        """Take in one evaluation. A loss that is not finite is never the best."""
        if np.isfinite(loss) and loss < self.loss:
            self.loss, self.step, self.kept, self.waited = loss, step, kept, 0
        else:
            self.waited += 1

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.waited >= self.patience
