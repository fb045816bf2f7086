"""`curvature`: eigenvalues, trace and density of the Hessian at a trained network, and along its run.

Flat and sharp are properties of the parameters, not of the function alone: rescaling two layers of a ReLU
network changes every figure here and no output (Dinh et al., Sharp Minima Can Generalize for Deep Nets,
2017).
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput
from thalweg.core.shown import Shown
from thalweg.insight.landscape.history import SharpnessHistory, history_of
from thalweg.insight.landscape.lanczos import SETTLED, Ritz, lanczos, largest_settled, signs
from thalweg.insight.landscape.points import Points, Progress
from thalweg.insight.landscape.products import GAUSS_NEWTON, HESSIAN, TOGETHER, Products
from thalweg.insight.landscape.subject import subject_of
from thalweg.insight.wording import count, figure, plural
from thalweg.problem.objective import Objective

# Up to this many parameters the whole Hessian is computed, by as many products.
DENSE = 1_200
# Of larger ones: eigenvalues that are wanted at the top, and the most products for them.
TOP, MOST_PRODUCTS = 5, 120
# Iterations from random vectors for the density, and products of each.
PROBES, PROBE_PRODUCTS = 4, 40
# Standard error at which the trace is settled, as a share of it, and the most random vectors.
TRACE_SETTLED, TRACE_VECTORS = 0.025, 512
# Vectors of an iteration are kept in memory, so that a model may have at most so many parameters; larger
# ones get the largest eigenvalue by power iteration alone.
MOST_PARAMETERS = 5_000_000
# Eigenvalues smaller than this share of the largest count as zero: products are computed in float32.
ZERO = 1e-4
# A point is critical if its gradient would be gone after moving by this much along the steepest curvature.
CRITICAL = 1e-3
EXAMPLES = 4_096
DENSITY_POINTS = 400


@dataclass(frozen=True)
class Index:
    """How many directions curve down, are flat, and curve up.

    Args:
        down, flat, up: Numbers of eigenvalues.
        error: Standard error of `down` over the random vectors; 0 where all eigenvalues were computed. It
            does not cover that a density from few products blurs small eigenvalues of both signs.
        critical: Whether the gradient is near zero, so that these numbers say what kind of point it is.
    """

    down: float
    flat: float
    up: float
    error: float
    critical: bool

    @property
    def kind(self) -> str:
        """`minimum`, `saddle`, `maximum`, or `no critical point`."""
        if not self.critical:
            return "no critical point"
        if round(self.down) == 0:
            return "minimum"
        return "maximum" if round(self.up) == 0 else "saddle"


@dataclass(frozen=True, repr=False)
class Curvature(Shown):
    """Second derivatives of the loss at one point.

    Args:
        name: Of the run.
        parameters, examples, split: Size of the Hessian, and what the loss is a mean over.
        loss, gradient_norm: At the point.
        top: Largest eigenvalues, descending.
        bounds: How far each may be off.
        lowest: The smallest eigenvalue.
        gauss_newton: Largest eigenvalue of the Gauss-Newton matrix; None for an objective.
        trace, trace_error: The trace and its standard error (0 where it is exact).
        index: Directions up and down.
        values, weights: Eigenvalues and the share of all that each stands for: the spectral density.
        exact: Whether all eigenvalues were computed.
        history: The largest eigenvalue along the run; None where it was not asked for.
        products: Products with a matrix of second derivatives.
        seconds: Time to compute it.
    """

    name: str
    parameters: int
    examples: int
    split: str
    loss: float
    gradient_norm: float
    top: Float[np.ndarray, " k"]
    bounds: Float[np.ndarray, " k"]
    lowest: float
    gauss_newton: float | None
    trace: float
    trace_error: float
    index: Index
    values: Float[np.ndarray, " n"] = field(repr=False)
    weights: Float[np.ndarray, " n"] = field(repr=False)
    exact: bool
    history: SharpnessHistory | None = None
    products: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Return the sentences."""
        return "\n".join((self.headline, *self.sentences))

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue."""
        return float(self.top[0])

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        return f"{self.name}: largest eigenvalue {figure(self.sharpness)}, trace {figure(self.trace)}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was computed, a sentence each."""
        how = "All eigenvalues were computed" if self.exact else "Eigenvalues are those of Lanczos iterations"
        error = "" if self.exact else f" (standard error {figure(self.trace_error, 2)})"
        said = [
            f"{how}, of the Hessian of the mean loss over {plural(self.examples, f'{self.split} example')}, "
            f"{plural(self.parameters, 'parameter')}, {plural(self.products, 'product')}.",
            f"Largest: {', '.join(figure(value) for value in self.top)}; smallest: {figure(self.lowest)}; "
            f"trace {figure(self.trace)}{error}.",
            self._about_index(),
        ]
        if self.gauss_newton is not None:
            said.append(f"Largest eigenvalue of the Gauss-Newton matrix: {figure(self.gauss_newton)}.")
        if self.history is not None:
            said.append(self.history.sentence)
        return tuple(said)

    def _about_index(self) -> str:
        index = self.index
        about = "" if not index.error else f" (standard error {figure(index.error, 2)})"
        few = "" if self.exact else "about "  # small eigenvalues of either sign are not told apart
        down = f"{few}{count(index.down)} of {count(self.parameters)} directions curve down{about}"
        at = f"gradient norm {figure(self.gradient_norm)}"
        if index.kind == "minimum":
            return f"A minimum: no direction curves down{about}; {at}."
        if index.critical:
            return f"A {index.kind}: {down}; {at}."
        return f"Not a critical point ({at}): {down}."

    def density(
        self, width: float | None = None
    ) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
        """Return the spectral density on a grid: eigenvalues, and the share of all per unit.

        Args:
            width: Standard deviation of the Gaussian that each eigenvalue is drawn as; None for a hundredth
                of the range.
        """
        low, high = float(self.values.min()), float(self.values.max())
        width = width or max(high - low, 1e-12) / 100
        at = np.linspace(low - 4 * width, high + 4 * width, DENSITY_POINTS)
        bells = np.exp(-0.5 * ((at[:, None] - self.values) / width) ** 2) / (width * np.sqrt(2 * np.pi))
        return at, bells @ self.weights

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        history = self.history
        return {
            "name": self.name,
            "parameters": self.parameters,
            "examples": self.examples,
            "split": self.split,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "top": self.top.tolist(),
            "bounds": self.bounds.tolist(),
            "lowest": self.lowest,
            "gauss_newton": self.gauss_newton,
            "trace": self.trace,
            "trace_error": self.trace_error,
            "index": self.index.__dict__ | {"kind": self.index.kind},
            "exact": self.exact,
            "history": None
            if history is None
            else {"step": history.step.tolist(), "sharpness": history.value.tolist()},
            "products": self.products,
            "seconds": self.seconds,
        }


@checked(BadInput)
def curvature(
    run: Any,
    *,
    history: bool = False,
    split: str = "train",
    rows: int | None = EXAMPLES,
    top: int = TOP,
    seed: int = 0,
    data: Any = None,
    problem: Any = None,
    weights: str | None = None,
    unverified: bool = False,
    progress: Any = None,
) -> Curvature:
    """Return eigenvalues, trace and spectral density of the loss's Hessian at a run's weights.

    Up to 1,200 parameters all eigenvalues are computed. Larger models get the largest and the smallest by
    Lanczos iterations, with bounds on their errors (0.5 % of the largest, unless 120 products do not
    suffice), the trace by random vectors (standard error 2.5 %, unless 512 vectors do not suffice), and the
    density by quadrature.

    Args:
        run: A `Run`, or its folder.
        history: Whether to compute the largest eigenvalue along the run too; it is trained again where its
            folder has no checkpoints.
        split: `train`, `validation` or `test`.
        rows: The most examples to use, every n-th of a larger split; None for all.
        top: How many of the largest eigenvalues.
        seed: Of the random vectors.
        data, problem, weights, unverified: As for `landscape`.
        progress: A function that receives the products made, and how many there may be.

    Raises:
        BadInput: The run or an option cannot be used.

    Example:
        >>> import thalweg as tw
        >>> recipe = tw.Recipe(tw.SGD(lr=0.1), batch_size=1, steps=100)
        >>> run = tw.train(tw.surface("bowl"), recipe, progress=False)
        >>> [round(float(value), 3) for value in tw.curvature(run).top]
        [8.0, 2.0]
    """
    if top < 1:
        raise BadInput("curvature", "top must be at least 1", got=top, hint="try 5")
    subject = subject_of(
        run, data=data, problem=problem, weights=weights, unverified=unverified, who="curvature"
    )
    return curvature_of(Points(subject, split, rows), history=history, top=top, seed=seed, progress=progress)


def curvature_of(
    points: Points, *, history: bool = False, top: int = TOP, seed: int = 0, progress: Progress | None = None
) -> Curvature:
    """Return the curvature at a network's weights; see `curvature`."""
    started, products = time.perf_counter(), Products(points)
    loss, gradient = products.loss_and_gradient()
    norm = float(np.linalg.norm(gradient))
    if not (np.isfinite(loss) and np.isfinite(norm)):
        rule, hint = "needs a point with a finite loss and gradient", "use the best weights: weights=best"
        raise BadInput("curvature", rule, got=loss, hint=hint)
    counted = _Counted(products, progress)
    found = _dense(counted, top) if products.size <= DENSE else _estimated(counted, top, seed)
    critical = norm <= CRITICAL * abs(found["top"][0]) * max(1.0, float(np.linalg.norm(products.flat)))
    down, flat, up, error = found.pop("index")
    along = history_of(points, found.pop("vector")) if history else None
    return Curvature(
        name=points.subject.name,
        parameters=products.size,
        examples=points.examples,
        split=points.split,
        loss=loss,
        gradient_norm=norm,
        gauss_newton=_gauss_newton(counted, seed),
        index=Index(down, flat, up, error, critical),
        history=along,
        products=counted.made,
        seconds=time.perf_counter() - started,
        **{name: value for name, value in found.items() if name != "vector"},
    )


class _Counted:
    """Products that are counted and reported."""

    def __init__(self, products: Products, progress: Progress | None):
        self.products, self.made, self._progress = products, 0, progress

    @property
    def size(self) -> int:
        return self.products.size

    def times(self, vectors: np.ndarray, matrix: str = HESSIAN) -> np.ndarray:
        self.made += len(np.atleast_2d(vectors))
        results = self.products.times(vectors, matrix)
        if self._progress is not None:
            self._progress(self.made, self.made)
        return results

    def one(self, vector: np.ndarray, matrix: str = HESSIAN) -> np.ndarray:
        return self.times(vector[None], matrix)[0]


def _dense(counted: _Counted, top: int) -> dict[str, Any]:
    """Return all eigenvalues, from the whole Hessian."""
    hessian = counted.times(np.eye(counted.size))
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    largest = values[::-1][:top]
    zero = ZERO * float(np.abs(values).max())
    down, up = int((values < -zero).sum()), int((values > zero).sum())
    return {
        "top": largest,
        "bounds": np.zeros(len(largest)),
        "lowest": float(values[0]),
        "trace": float(values.sum()),
        "trace_error": 0.0,
        "index": (down, counted.size - down - up, up, 0.0),
        "values": values,
        "weights": np.full(counted.size, 1.0 / counted.size),
        "exact": True,
        "vector": vectors[:, -1],
    }


def _estimated(counted: _Counted, top: int, seed: int) -> dict[str, Any]:
    """Return extreme eigenvalues with bounds, and estimates of trace, density and index."""
    random = np.random.default_rng(seed)

    def settled(values: np.ndarray, bounds: np.ndarray) -> bool:
        if len(values) < max(PROBE_PRODUCTS, 2 * top):
            return False
        ends = np.append(bounds[-top:], bounds[0])
        return bool((ends <= SETTLED * np.abs(values).max()).all())

    first = lanczos(counted.one, signs(random, counted.size), MOST_PRODUCTS, settled)
    probes = [first]
    for _ in range(PROBES - 1):
        probes.append(lanczos(counted.one, signs(random, counted.size), PROBE_PRODUCTS))
    trace, error = _trace(counted, [probe.diagonal for probe in probes], random)
    largest = first.values[::-1][:top]
    return {
        "top": largest,
        "bounds": first.bounds[::-1][:top],
        "lowest": float(min(probe.values[0] for probe in probes)),
        "trace": trace,
        "trace_error": error,
        "index": _index(probes, counted.size),
        "values": np.concatenate([probe.values for probe in probes]),
        "weights": np.concatenate([probe.weights for probe in probes]) / len(probes),
        "exact": False,
        "vector": first.top,
    }


def _trace(counted: _Counted, diagonals: list[float], random: np.random.Generator) -> tuple[float, float]:
    """Return the trace and its standard error, from Rayleigh quotients of random vectors of signs."""
    samples = [counted.size * each for each in diagonals]
    while True:
        trace, error = float(np.mean(samples)), float(np.std(samples, ddof=1) / np.sqrt(len(samples)))
        if len(samples) >= TRACE_VECTORS or (error <= TRACE_SETTLED * abs(trace) and len(samples) > TOGETHER):
            return trace, error
        vectors = np.stack([signs(random, counted.size) for _ in range(TOGETHER)])
        samples += np.einsum("ij,ij->i", vectors, counted.times(vectors)).tolist()


def _index(probes: list[Ritz], size: int) -> tuple[float, float, float, float]:
    """Return the estimated numbers of negative, zero and positive eigenvalues, and the first one's error."""
    zero = ZERO * max(float(np.abs(probe.values).max()) for probe in probes)
    down = [float(probe.weights[probe.values < -zero].sum()) for probe in probes]
    up = float(np.mean([probe.weights[probe.values > zero].sum() for probe in probes]))
    share, error = float(np.mean(down)), float(np.std(down, ddof=1) / np.sqrt(len(down)))
    return size * share, size * (1 - share - up), size * up, size * error


def _gauss_newton(counted: _Counted, seed: int) -> float | None:
    """Return the largest eigenvalue of the Gauss-Newton matrix."""
    if isinstance(counted.products.points.group.program.loss, Objective):
        return None
    start = np.random.default_rng(seed).standard_normal(counted.size)
    product = lambda vector: counted.one(vector, GAUSS_NEWTON)  # noqa: E731
    return float(lanczos(product, start, MOST_PRODUCTS, largest_settled).values[-1])
