"""The largest eigenvalue of the Hessian along a run, beside the curvature at which descent is stable.

Full-batch descent often sharpens the loss until it is at this edge, and stays there (Cohen et al., Gradient
Descent on Neural Networks Typically Occurs at the Edge of Stability, 2021).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from thalweg.insight.curves import Curve, per_step
from thalweg.insight.landscape.lanczos import lanczos, largest_settled, signs
from thalweg.insight.landscape.points import Points
from thalweg.insight.landscape.products import Products
from thalweg.insight.landscape.subject import Subject
from thalweg.insight.wording import count, figure
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

# Points of the run at which it is computed, and the most products at each.
HISTORY, MOST_PRODUCTS = 16, 120


@dataclass(frozen=True)
class SharpnessHistory:
    """The largest eigenvalue along a run.

    Args:
        step: Updates made.
        value: The largest eigenvalue there.
        edge: What descent is stable below, `2 / rate`, or `(2 + 2 momentum) / rate`; None for other rules.
        rule: How the edge is computed.
    """

    step: Int[np.ndarray, " time"]
    value: Float[np.ndarray, " time"]
    edge: Curve | None
    rule: str

    @property
    def sentence(self) -> str:
        """Where the run started and ended, and how near it came to the edge."""
        said = f"Along the run it went from {figure(self.value[0])} to {figure(self.value[-1])}"
        if self.edge is None or not len(self.edge):
            return f"{said}."
        edges = np.interp(self.step, self.edge.step, self.edge.value)
        nearest = int(np.argmax(self.value / edges))
        place = "above" if self.value[nearest] > edges[nearest] else "below"
        return (
            f"{said}; it was nearest to the edge of stability at step {count(self.step[nearest])}: "
            f"{figure(self.value[nearest])}, {place} {self.rule} = {figure(edges[nearest])}."
        )


def history_of(points: Points, top: np.ndarray) -> SharpnessHistory:
    """Return the largest eigenvalue at points along the run, each iteration from the previous eigenvector."""
    subject = points.subject
    trajectory = subject.trajectory(HISTORY)
    random, steps, values = np.random.default_rng(0), [], []
    for step, weights in reversed(list(zip(trajectory.step.tolist(), trajectory.weights, strict=True))):
        products = Products(points, weights)
        if not np.isfinite(products.flat).all():
            continue
        start = top / np.linalg.norm(top) + 0.3 * signs(random, products.size) / np.sqrt(products.size)
        found = lanczos(lambda v, p=products: p.times(v[None])[0], start, MOST_PRODUCTS, largest_settled)
        steps.append(step)
        values.append(float(found.values[-1]))
        top = found.top
    record = subject.record if trajectory.run is None else trajectory.run.record
    edge, rule = _edge(subject, per_step(record, "learning_rate").finite)
    return SharpnessHistory(np.array(steps[::-1]), np.array(values[::-1]), edge, rule)


def _edge(subject: Subject, rate: Curve) -> tuple[Curve | None, str]:
    """Return the largest curvature at which descent with these rates is stable on a quadratic.

    `2 / rate`, with momentum `(2 + 2 momentum) / rate`: Cohen et al., Gradient Descent on Neural Networks
    Typically Occurs at the Edge of Stability, 2021, section 2 and appendix B.
    """
    recipe: Recipe = subject.recipe
    optimizer = recipe.optimizer
    momentum = float(getattr(optimizer, "momentum", 0.0) or 0.0)
    if not isinstance(optimizer, SGD) or getattr(optimizer, "nesterov", False) or not len(rate):
        return None, ""
    positive = rate.value > 0
    edge = Curve(rate.step[positive], (2.0 + 2.0 * momentum) / rate.value[positive])
    return edge, "2 / rate" if not momentum else f"(2 + 2 x {momentum:g}) / rate"
