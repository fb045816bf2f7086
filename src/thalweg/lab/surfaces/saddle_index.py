"""Which directions lead down at critical points."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.problem.surfaces import SURFACES, surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The index of a critical point, the number of negative curvatures, tells minima from saddles.",
    source="Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014; Goodfellow et al., "
    "2016, section 8.2.3",
    counts="w0^2 - w1^2 + w1^4/4 has index 1 at the origin and 0 at (0, 1.4142)",
)
def saddle_index(lab: Bench) -> None:
    """Count negative eigenvalues of the Hessian at three points."""

    def height(w: Array) -> Array:
        return SURFACES["saddle"].height(w[0], w[1])

    places = {"the saddle at the origin": ((0.0, 0.0), 1), "the minimum at (0, 1.414)": ((0.0, 2**0.5), 0)}
    for name, (at, index) in places.items():
        values = np.linalg.eigvalsh(np.asarray(jax.hessian(height)(jnp.asarray(at))))
        lab.equal(f"directions down at {name}", int((values < -1e-6).sum()), index)
        lab.row(point=name, smallest=float(values[0]), largest=float(values[-1]))
    recipe = Recipe(SGD(lr=0.05), batch_size=1, steps=60)
    lab.surface(
        "The saddle, and a path that starts 0.01 from its ridge",
        lab.descend(surface("saddle"), {"sgd": recipe}, lab.cut(61, 11)),
    )
