"""The rules with a line search: gradient descent with backtracking, and L-BFGS.

Backtracking is followed try by try in NumPy. For L-BFGS the direction is Nocedal's two-loop recursion in
NumPy, fed with the weights our rule went through; its step lengths must satisfy the strong Wolfe conditions.
"""

from itertools import pairwise

import jax
import numpy as np

from tests.contracts.trajectories import SHAPES, Landscape, ours, start
from thalweg.recipe.optimizers import LBFGS, GradientDescent


class Valley(Landscape):
    """A loss without noise, so stretched that gradient descent is still on its way after 200 steps."""

    def __init__(self) -> None:
        super().__init__(SHAPES, noise=0.0)
        for name, curvature in self.curvature.items():
            curvature *= np.logspace(-3, 2, curvature.size).reshape(curvature.shape)
            self.curvature[name] = curvature


def _flat(params):
    return np.concatenate([params[name].ravel() for name in sorted(params)])


def _unflat(vector):
    found, at = {}, 0
    for name in sorted(SHAPES):
        size = int(np.prod(SHAPES[name]))
        found[name] = vector[at : at + size].reshape(SHAPES[name])
        at += size
    return found


def _value(valley, vector):
    return valley.value(_unflat(vector))


def _gradient(valley, vector):
    return _flat(valley.gradient(_unflat(vector), 0))


def test_gradient_descent_backtracks_as_published():
    rule, valley = GradientDescent(decrease=0.1, shrink=0.6, grow=1.8, longest=50.0), Valley()
    with jax.enable_x64(True):
        walked = ours(rule, valley, SHAPES)
    w, length, path = _flat(start(SHAPES)), 1.0, []
    for _ in range(200):
        g, value = _gradient(valley, w), _value(valley, w)
        length = min(rule.grow * length, rule.longest)
        while _value(valley, w - length * g) > value - rule.decrease * length * (g @ g):
            length *= rule.shrink
        w = w - length * g
        path.append(w)
    assert np.linalg.norm(_gradient(valley, w)) > 1e-6, "it must still be on its way, or rounding decides"
    for mine, theirs in zip(walked[:-1], path, strict=True):
        np.testing.assert_allclose(_flat(mine), theirs, rtol=1e-9, atol=1e-9)


def _two_loops(gradient, pairs):
    """Nocedal & Wright, algorithm 7.4: the product of the inverse Hessian's estimate with the gradient."""
    if not pairs:
        return gradient * min(1.0, 1.0 / np.linalg.norm(gradient))
    q, shares = gradient.copy(), []
    for s, y in reversed(pairs):
        share = (s @ q) / (s @ y)
        q = q - share * y
        shares.append(share)
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        r = r + s * (share - (y @ r) / (y @ s))
    return r


def test_lbfgs_goes_the_published_way():
    rule, valley = LBFGS(memory=5, curvature=0.8), Valley()
    with jax.enable_x64(True):
        walked = [_flat(start(SHAPES)), *map(_flat, ours(rule, valley, SHAPES)[:-1])]
    pairs, checked = [], 0
    for before, after in pairwise(walked):
        g, moved = _gradient(valley, before), after - before
        if np.linalg.norm(g) < 1e-5:
            break  # from here on rounding decides
        direction = -_two_loops(g, pairs[-rule.memory :])
        length = (moved @ direction) / (direction @ direction)
        np.testing.assert_allclose(moved, length * direction, rtol=0, atol=1e-9 * np.abs(moved).max())
        slope, new = g @ direction, _gradient(valley, after)
        assert _value(valley, after) <= _value(valley, before) + rule.decrease * length * slope
        assert abs(new @ direction) <= rule.curvature * abs(slope)
        pairs.append((moved, new - g))
        checked += 1
    assert checked > 3 * rule.memory, "the memory must have been filled and turned over"
    assert np.linalg.norm(_gradient(valley, walked[-1])) < 1e-3 * np.linalg.norm(_gradient(valley, walked[0]))
