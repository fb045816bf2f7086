"""`surface`: problems of two parameters and no data, whose loss can be drawn as it is.

They are problems like any other: any recipe trains them, many recipes at once are lanes. The model is a
point, the objective the height of a surface at this point; one row of data without content takes the place of
examples, so that every batch has the exact gradient, and one epoch is one update.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from thalweg.core.arguments import checked
from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.data.examples import examples
from thalweg.problem.problem import Problem


@dataclass(frozen=True)
class Surface:
    """A function of two parameters.

    Args:
        formula: As text, in `w0` and `w1`.
        height: The function.
        start: Where descent starts unless told otherwise.
        window: What is drawn: lowest and highest `w0`, lowest and highest `w1`.
        shows: What it is good for.
    """

    formula: str
    height: Callable[[Array, Array], Array]
    start: tuple[float, float]
    window: tuple[float, float, float, float]
    shows: str


def _bumps(w0: Array, w1: Array) -> Array:
    waves = 2 - jnp.cos(3 * w0) - jnp.cos(3 * w1)
    return 0.1 * (w0**2 + w1**2) + 0.2 * waves


SURFACES: dict[str, Surface] = {
    "bowl": Surface(
        "w0^2 + 4 w1^2",
        lambda w0, w1: w0**2 + 4 * w1**2,
        (3.0, 2.0),
        (-4.0, 4.0, -3.0, 3.0),
        "Curvatures 2 and 8: descent oscillates across the valley above a rate of 1/8, diverges above 1/4.",
    ),
    "ravine": Surface(
        "0.05 w0^2 + 5 w1^2",
        lambda w0, w1: 0.05 * w0**2 + 5 * w1**2,
        (-9.0, 1.0),
        (-10.0, 10.0, -2.0, 2.0),
        "Curvatures 0.1 and 10: the steep direction limits the rate, the flat one needs a large one.",
    ),
    "rosenbrock": Surface(
        "(1 - w0)^2 + 100 (w1 - w0^2)^2",
        lambda w0, w1: (1 - w0) ** 2 + 100 * (w1 - w0**2) ** 2,
        (-1.2, 1.0),
        (-2.0, 2.0, -1.0, 3.0),
        "A curved valley with its minimum at (1, 1); Rosenbrock 1960.",
    ),
    "saddle": Surface(
        "w0^2 - w1^2 + w1^4 / 4",
        lambda w0, w1: w0**2 - w1**2 + w1**4 / 4,
        (2.0, 0.01),
        (-2.5, 2.5, -2.5, 2.5),
        "A saddle at the origin between minima at w1 = -1.414 and 1.414; the start is almost on its ridge.",
    ),
    "plateau": Surface(
        "1 - exp(-(w0^2 + w1^2) / 2)",
        lambda w0, w1: 1 - jnp.exp(-(w0**2 + w1**2) / 2),
        (2.5, 2.0),
        (-4.0, 4.0, -4.0, 4.0),
        "Flat far from the minimum: the gradient at the start is 0.02.",
    ),
    "bumps": Surface(
        "(w0^2 + w1^2) / 10 + (2 - cos 3 w0 - cos 3 w1) / 5",
        _bumps,
        (4.0, 3.6),
        (-5.0, 5.0, -5.0, 5.0),
        "Shallow minima on the way to the deepest one, at the origin.",
    ),
}


class Point(eqx.Module):
    """The model of a surface: its two parameters."""

    w: Float[Array, "2"]
    inference: bool = False

    def __call__(self, row: Any) -> Float[Array, "2"]:
        """Return the point, whatever the row."""
        return self.w


@dataclass(frozen=True)
class Height:
    """The objective of a surface.

    Args:
        surface: Its name.
        noise: Standard deviation of each component of the noise that is added to the gradient.
    """

    surface: str
    noise: float = 0.0

    @property
    def __name__(self) -> str:
        """Name of the objective, for records."""
        return self.surface if not self.noise else f"{self.surface}(noise={self.noise:g})"

    def __call__(self, model: Point, batch: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        """Return the height at the model's point; in training, tilted at random."""
        height = SURFACES[self.surface].height(model.w[0], model.w[1])
        if not self.noise or model.inference:
            return height
        # The gradient of the added term is the noise, as that of a minibatch is; its value is zero.
        tilt = self.noise * jax.random.normal(key, (2,), model.w.dtype)
        return height + jnp.dot(tilt, model.w - jax.lax.stop_gradient(model.w))


@checked(ModelError)
def surface(name: str, *, start: Sequence[float] | None = None, noise: float = 0.0) -> Problem:
    """Return a problem of two parameters and no data: descent on a surface that can be drawn.

    `bowl`, `ravine`, `rosenbrock`, `saddle`, `plateau` and `bumps`; their formulas, windows and starts are in
    `thalweg.problem.surfaces.SURFACES`.

    Args:
        name: Which surface.
        start: Where every lane starts, two numbers; None for the surface's own.
        noise: Standard deviation of normal noise that is added to each component of the gradient, as if it
            came from a minibatch; 0 for the exact gradient.

    Raises:
        ModelError: There is no such surface, the start is not two finite numbers, or the noise is negative.

    Example:
        >>> import thalweg as tw
        >>> recipe = tw.Recipe(tw.SGD(lr=0.15), batch_size=1, steps=30)
        >>> run = tw.train(tw.surface("bowl"), recipe, progress=False)
        >>> run.model.w.shape
        (2,)
    """
    if name not in SURFACES:
        raise ModelError(
            "surface", "must be a known surface", got=name, hint=did_you_mean(str(name), SURFACES)
        )
    at = np.asarray(SURFACES[name].start if start is None else start, np.float64)
    if at.shape != (2,) or not np.isfinite(at).all():
        raise ModelError(
            "surface", "start must be two finite numbers", got=start, hint="for example start=(3, 2)"
        )
    if not 0 <= noise < np.inf:
        raise ModelError("surface", "noise must be at least 0", got=noise, hint="try 0.1")
    data = examples({"row": np.zeros((1, 1), np.float32)}, validation=0.0, test=0.0, name=name)
    model = Point(jnp.asarray(at, jnp.float32))
    return Problem(model, data, objective=Height(name, float(noise)), name=name)


def is_surface(problem: Problem) -> bool:
    """Return whether a problem is one of `surface`."""
    return problem.objective is not None and isinstance(problem.objective.function, Height)


def surface_of(problem: Problem) -> Surface:
    """Return the surface of such a problem."""
    return SURFACES[problem.objective.function.surface]
