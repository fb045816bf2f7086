"""Contours of values on a grid: closed outlines of the region above each level, to be filled and stroked."""

import numpy as np
from jaxtyping import Float

# Below every level: what surrounds the grid, so that each outline is closed along the grid's edge.
OUTSIDE = -1e9

# A crossing: an edge of the grid, by its kind (0 across, 1 down), row and column.
_Edge = tuple[int, int, int]


def outlines(values: Float[np.ndarray, "row column"], level: float) -> list[Float[np.ndarray, "corner 2"]]:
    """Return the closed outlines of the region in which values are at least `level`, by marching squares.

    Holes are outlines too: fill them with the rule `evenodd`. Positions between grid points are linear.

    Args:
        values: Finite.
        level: The level.

    Returns:
        For each outline its corners as (column, row), in units of the grid.
    """
    rows, columns = values.shape
    padded = np.full((rows + 2, columns + 2), OUTSIDE)
    padded[1:-1, 1:-1] = values
    follows = _segments(padded, level)
    found = []
    while follows:
        start, edge = follows.popitem()
        chain = [start]
        while edge != start:
            chain.append(edge)
            edge = follows.pop(edge)
        corners = np.array([_crossing(padded, level, edge) for edge in chain]) - 1.0
        found.append(np.clip(corners, 0.0, [columns - 1.0, rows - 1.0]))
    return found


def _segments(values: np.ndarray, level: float) -> dict[_Edge, _Edge]:
    """Return for each crossing the one that follows it along the outline."""
    inside = values >= level
    corners = inside[:-1, :-1].astype(int) + inside[:-1, 1:] + inside[1:, 1:] + inside[1:, :-1]
    follows: dict[_Edge, _Edge] = {}
    for row, column in zip(*(at.tolist() for at in np.nonzero((corners > 0) & (corners < 4))), strict=True):
        around = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        edges = [(0, row, column), (1, row, column + 1), (0, row + 1, column), (1, row, column)]
        within = [bool(inside[corner]) for corner in around]
        leaves = [
            edge for edge, a, b in zip(edges, within, within[1:] + within[:1], strict=True) if a and not b
        ]
        enters = [
            edge for edge, a, b in zip(edges, within, within[1:] + within[:1], strict=True) if b and not a
        ]
        if len(leaves) == 1:
            follows[leaves[0]] = enters[0]
            continue
        # A saddle: both corners inside belong together if the middle is inside. Then the outline goes on from
        # an exit to the next entry around the cell, else to the one before it.
        joined = bool(np.mean([values[corner] for corner in around]) >= level)
        places = [edges.index(edge) for edge in enters]
        for leave in leaves:
            steps = [(place - edges.index(leave)) % 4 for place in places]
            chosen = min(steps) if joined else max(steps)
            follows[leave] = enters[steps.index(chosen)]
    return follows


def _crossing(values: np.ndarray, level: float, edge: _Edge) -> tuple[float, float]:
    """Return where the level crosses an edge, as (column, row)."""
    kind, row, column = edge
    first, second = values[row, column], values[(row, column + 1) if kind == 0 else (row + 1, column)]
    share = (level - first) / (second - first) if second != first else 0.5
    return (column + share, row) if kind == 0 else (column, row + share)
