"""What a race tunes of an optimizer: its rate, momentum and weight decay, around the registry's defaults.

The space depends on the optimizer alone, never on the task, so that no contestant is favoured by the person
who writes the race down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.recipe.optimizers import Optimizer
from thalweg.recipe.recipe import Recipe, rate_path, with_rate
from thalweg.recipe.settings import with_setting

# Octaves on either side of the registry's rate; of a factor of an estimated rate.
RATE, FACTOR = 5.0, 2.0
# Octaves around the best rate of the first stage in which the second stage draws.
NEAR = 2.0
# Octaves of 1 - momentum and of the weight decay on either side.
MOMENTUM, DECAY = 2.0, 4.0
# Where the registry has it off: what a race starts from.
MOMENTUM_ON = 0.9  # Sutskever et al., On the Importance of Initialization and Momentum, 2013
DECAY_ON = 5e-4  # Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep CNNs, 2012
MOST_MOMENTUM = 0.999


@dataclass(frozen=True)
class Space:
    """The search space of one contestant.

    Args:
        recipe: Its recipe at the centre of the space.
        momentum, decay: Paths of the settings that vary besides the rate; None where there is none.
    """

    recipe: Recipe
    momentum: str | None
    decay: str | None

    @classmethod
    def of(cls, recipe: Recipe) -> "Space":
        """Return the space around a recipe, whose optimizer has the registry's numbers.

        Momentum and weight decay that are off are turned on, so that each optimizer may use them.
        """
        optimizer = recipe.optimizer
        momentum, decay = optimizer.momentum_field, "weight_decay"
        changed: dict[str, Any] = {}
        own = _value(optimizer, momentum)
        if momentum is not None and own is None and hasattr(optimizer, momentum):
            changed[f"optimizer.{momentum}"] = MOMENTUM_ON
        if hasattr(optimizer, decay) and getattr(optimizer, decay) is None:
            changed[f"optimizer.{decay}"] = DECAY_ON
        settings = recipe.to_dict()
        for path, value in changed.items():
            settings = with_setting(settings, path, value)
        recipe = Recipe.from_dict(settings)
        has_decay = float(getattr(recipe.optimizer, decay, None) or 0.0) > 0
        has_momentum = momentum is not None and _value(recipe.optimizer, momentum) is not None
        return cls(
            recipe,
            f"optimizer.{momentum}" if has_momentum else None,
            f"optimizer.{decay}" if has_decay else None,
        )

    @property
    def reach(self) -> float:
        """Octaves of the rate on either side of the centre."""
        return FACTOR if self.recipe.optimizer.estimates_rate else RATE

    def rates(self, count: int) -> list[Recipe]:
        """Return the first stage: so many rates, evenly spaced in octaves, everything else at the centre."""
        octaves = np.linspace(-self.reach, self.reach, count) if count > 1 else np.zeros(1)
        return [self.at(float(octave)) for octave in octaves]

    def near(self, best: Recipe, points: Float[np.ndarray, "point 3"]) -> list[Recipe]:
        """Return the second stage: around the best rate, and anywhere in momentum and decay.

        Args:
            best: The best recipe of the first stage.
            points: In the unit cube.
        """
        centre = float(np.log2(_rate(best) / _rate(self.recipe)))
        return [
            self.at(centre + NEAR * (2 * rate - 1), 2 * momentum - 1, 2 * decay - 1)
            for rate, momentum, decay in points.tolist()
        ]

    def at(self, octave: float, momentum: float = 0.0, decay: float = 0.0) -> Recipe:
        """Return a recipe of the space: octaves of the rate, and shares of the reach of the others."""
        recipe = with_rate(self.recipe, float(f"{_rate(self.recipe) * 2**octave:.4g}"))
        settings = recipe.to_dict()
        if self.momentum is not None and momentum:
            own = 1 - float(_value(recipe.optimizer, self.momentum.partition(".")[2]))
            moved = 1 - own * 2 ** (MOMENTUM * momentum)
            settings = with_setting(settings, self.momentum, float(f"{np.clip(moved, 0, MOST_MOMENTUM):.4g}"))
        if self.decay is not None and decay:
            own = float(_value(recipe.optimizer, self.decay.partition(".")[2]))
            settings = with_setting(settings, self.decay, float(f"{own * 2 ** (DECAY * decay):.4g}"))
        return Recipe.from_dict(settings)


def tuned_settings(recipe: Recipe, paths: Sequence[str | None]) -> dict[str, float]:
    """Return the tuned settings of a recipe: its rate, and those at `paths`."""
    found = {rate_path(recipe): _rate(recipe)}
    for path in paths:
        if path is not None:
            found[path] = float(_value(recipe.optimizer, path.partition(".")[2]))
    return found


def _rate(recipe: Recipe) -> float:
    return float(recipe.optimizer.first_rate())


def _value(optimizer: Optimizer, path: str | None) -> Any:
    return None if path is None else getattr(optimizer, path, None)
