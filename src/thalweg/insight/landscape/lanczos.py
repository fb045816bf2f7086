"""Lanczos iterations: extreme eigenvalues with error bounds, the spectral density, and the trace.

Of our own rather than matfree's or ARPACK's, because a product with the Hessian is a pass over the data: it
costs thousands of times what the iteration does. So the iteration runs on the host, in float64 and with
all vectors kept orthogonal, stops as soon as its bounds say so, can be interrupted, and gives eigenvalues,
density and trace from the same products. matfree compiles a fixed number of products into one program.

References: Golub & Van Loan, Matrix Computations, chapter 10 (the iteration, and the bound `|beta s|` on a
Ritz value's error); Ubaru, Chen & Saad, Fast Estimation of tr(f(A)) via Stochastic Lanczos Quadrature, 2017;
Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix, 1990.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh_tridiagonal

# A vector this short compared with the matrix is rounding: the iteration has found an invariant space.
EXHAUSTED = 1e-7

# The error at which an eigenvalue is settled, relative to the largest.
SETTLED = 0.005

Product = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


class Ritz(NamedTuple):
    """What an iteration found.

    Args:
        values: Approximate eigenvalues, ascending.
        bounds: How far each may be from an eigenvalue.
        weights: Share of the first vector's square along each: the weights of a quadrature.
        products: Products with the matrix.
        diagonal: The first vector's Rayleigh quotient.
        top: The approximate eigenvector of the largest value.
    """

    values: Float[np.ndarray, " ritz"]
    bounds: Float[np.ndarray, " ritz"]
    weights: Float[np.ndarray, " ritz"]
    products: int
    diagonal: float
    top: Float[np.ndarray, " n"]


def lanczos(
    product: Product,
    start: Float[np.ndarray, " n"],
    most: int,
    settled: Callable[[np.ndarray, np.ndarray], bool] | None = None,
) -> Ritz:
    """Run the iteration from a vector, with full reorthogonalisation.

    Args:
        product: The matrix times a vector; the matrix must be symmetric.
        start: The first vector.
        most: The most products.
        settled: Whether to stop, from the values and their bounds so far; None never stops early.
    """
    vectors = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    values = bounds = shares = np.zeros(0)
    for number in range(min(most, len(start))):
        image = product(vectors[-1])
        diagonal.append(float(image @ vectors[-1]))
        basis = np.stack(vectors)
        for _ in range(2):  # twice is enough (Parlett, The Symmetric Eigenvalue Problem, section 6.9)
            image = image - basis.T @ (basis @ image)
        length = float(np.linalg.norm(image))
        values, small = eigh_tridiagonal(np.array(diagonal), np.array(beside))
        bounds, shares = length * np.abs(small[-1]), small[0] ** 2
        exhausted = length <= EXHAUSTED * max(1e-300, float(np.abs(values).max()))
        last = number + 1 == min(most, len(start))
        if exhausted or last or (settled is not None and settled(values, bounds)):
            top = basis.T @ small[:, -1]
            return Ritz(values, bounds, shares, number + 1, diagonal[0], top)
        beside.append(length)
        vectors.append(image / length)
    raise ValueError("lanczos needs at least one product")


def signs(random: np.random.Generator, size: int) -> Float[np.ndarray, " n"]:
    """Return a random vector of ones and minus ones (Rademacher)."""
    return random.integers(0, 2, size) * 2.0 - 1.0


def largest_settled(values: np.ndarray, bounds: np.ndarray) -> bool:
    """Return whether the largest value is known to `SETTLED`."""
    return len(values) > 2 and bool(bounds[-1] <= SETTLED * abs(values[-1]))
