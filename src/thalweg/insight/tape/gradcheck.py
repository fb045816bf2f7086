"""`gradcheck`: a function's gradient against differences of its values, entry by entry, in float64."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jaxtyping import Float, PyTree

from thalweg.core.compiler import jit
from thalweg.core.errors import BadInput
from thalweg.insight.tape.recording import is_inexact
from thalweg.insight.tape.tape import traced
from thalweg.insight.wording import count, figure, plural

# Relative error up to which an entry agrees. With these steps smooth functions reach 1e-9 and better.
TOLERANCE = 1e-6
# Steps of the differences, relative to the entry (or to 1): each half the one before. The first is large, so
# that rounding stays small for tiny gradients; extrapolation removes what it errs by.
FIRST_STEP, LEVELS = 0.1, 12
# The most entries that are checked of each input; of larger ones, a sample.
MOST_ENTRIES = 200

AGREES, DIFFERS, UNRESOLVED = "agrees", "differs", "unresolved"


@dataclass(frozen=True)
class Entry:
    """One entry of a gradient.

    Args:
        name: Input and index: `W1[0, 2]`.
        gradient: What differentiation gives.
        difference: What differences of values give.
        uncertainty: How far that may be from the true derivative, by the extrapolation's own estimate.
        error: |gradient - difference| / max(|gradient|, |difference|); 0 where both are 0.
        status: `agrees`; `differs`; `unresolved`: the difference's uncertainty exceeds the tolerance, as at a
            kink, or where the derivative is below what rounding leaves of it.
    """

    name: str
    gradient: float
    difference: float
    uncertainty: float
    error: float
    status: str


@dataclass(frozen=True, repr=False)
class GradCheck:
    """The result of `gradcheck`.

    Args:
        entries: Every entry that was checked, worst first.
        tolerance: Relative error up to which an entry agrees.
        skipped: Entries of large inputs that were not drawn.
    """

    entries: tuple[Entry, ...]
    tolerance: float
    skipped: int = 0

    @property
    def passed(self) -> bool:
        """Whether no entry differs."""
        return not any(entry.status == DIFFERS for entry in self.entries)

    @property
    def worst(self) -> Entry:
        """The entry with the largest relative error, among those that differ, else those that agree."""
        return self.entries[0]

    @property
    def unresolved(self) -> tuple[Entry, ...]:
        """Entries of which the differences say nothing."""
        return tuple(entry for entry in self.entries if entry.status == UNRESOLVED)

    def __bool__(self) -> bool:
        """Return whether no entry differs."""
        return self.passed

    def __repr__(self) -> str:
        """Return the verdict, the worst entry, and how many could not be resolved."""
        wrong = sum(entry.status == DIFFERS for entry in self.entries)
        right = sum(entry.status == AGREES for entry in self.entries)
        verdict = f"{count(wrong)} of {plural(len(self.entries), 'entry', 'entries')} differ"
        if not wrong:
            verdict = f"{count(right)} of {plural(len(self.entries), 'entry', 'entries')} agree"
        worst = self.worst
        lines = [
            f"GradCheck: {verdict} (relative error up to {figure(self.tolerance)})",
            f"  worst: {worst.name}: gradient {worst.gradient:.10g}, difference {worst.difference:.10g} "
            f"+- {figure(worst.uncertainty, 2)}, relative error {figure(worst.error, 3)}",
        ]
        if self.unresolved:
            first = self.unresolved[0]
            lines.append(
                f"  unresolved: {count(len(self.unresolved))}, such as {first.name}: gradient "
                f"{first.gradient:.4g}, difference {first.difference:.4g} +- {figure(first.uncertainty, 2)}"
            )
        if self.skipped:
            lines.append(f"  not checked: {count(self.skipped)} entries of large inputs")
        return "\n".join(lines)


def gradcheck(
    function: Callable[..., Any], *inputs: PyTree, tolerance: float = TOLERANCE, seed: int = 0
) -> GradCheck:
    """Compare a function's gradient with central differences, entry by entry.

    Everything is computed in float64. The central difference `(f(x + h) - f(x - h)) / 2h` errs by h^2 and
    higher even powers, which Richardson's extrapolation over halved steps removes one after another; of the
    table, the value with the smallest estimated error is taken (Ridders). Errors are relative to each entry,
    without an absolute tolerance, so that a wrong gradient is found however small it is. Where rounding hides
    it, the entry is `unresolved` and not passed over.

    Args:
        function: Returns one floating-point number.
        inputs: Numbers, arrays, or trees of them; the floating-point ones are checked.
        tolerance: Relative error up to which an entry agrees.
        seed: Which entries of an input with more than 200 are drawn.

    Raises:
        BadInput: See `tape`; or the tolerance is not above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> import thalweg as tw
        >>> tw.gradcheck(lambda w, x: jnp.sum(jnp.tanh(w @ x)), jnp.ones((2, 3)), jnp.arange(3.0)).passed
        True

    Reference: Richardson 1911; Ridders, Accurate Computation of F'(x) and F'(x)F''(x), 1982.
    """
    if not (isinstance(tolerance, (int, float)) and 0 < tolerance < 1):
        raise BadInput("gradcheck", "tolerance must be above 0 and below 1", got=tolerance, hint="try 1e-6")
    with jax.enable_x64(True):
        wide = jax.tree.map(_widened, inputs)
        closed, arrays, names = traced(function, wide)
        which = [at for at, array in enumerate(arrays) if jnp.issubdtype(array.dtype, jnp.floating)]

        def value(*those: Any) -> Any:
            return eval_jaxpr(closed.jaxpr, closed.consts, *those)[0].astype(jnp.float64)

        gradients = jit(jax.grad(value, argnums=tuple(which)))(*arrays)
        entries, skipped = [], 0
        for at, gradient in zip(which, gradients, strict=True):
            if not arrays[at].size:
                continue
            chosen = _chosen(arrays[at].size, np.random.default_rng(seed))
            skipped += arrays[at].size - len(chosen)
            found = _differences(value, arrays, at, chosen)
            entries += _entries(names[at], np.asarray(gradient), chosen, found, tolerance)
    order = {DIFFERS: 0, AGREES: 1, UNRESOLVED: 2}
    entries.sort(key=lambda entry: (order[entry.status], -entry.error if entry.error == entry.error else -1))
    if not entries:
        raise BadInput(
            "gradcheck", "needs an input with entries", got="empty arrays", hint="pass some numbers"
        )
    return GradCheck(tuple(entries), tolerance, skipped)


def _widened(leaf: Any) -> Any:
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic)) and is_inexact(leaf):
        kind = jnp.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else jnp.float64
        return jnp.asarray(leaf, kind)
    return leaf


def _chosen(size: int, random: np.random.Generator) -> np.ndarray:
    if size <= MOST_ENTRIES:
        return np.arange(size)
    return np.sort(random.choice(size, MOST_ENTRIES, replace=False))


def _differences(
    value: Callable[..., Any], arrays: Sequence[Any], at: int, chosen: np.ndarray
) -> Float[np.ndarray, "entry level 3"]:
    """Return for every entry and step the central difference, |f| / h, and the jump of the slope.

    The jump is `(f(x + h) - 2 f(x) + f(x - h)) / h`, which falls with h where f is smooth and does not at a
    kink.
    """
    flat = np.asarray(arrays[at], np.float64).ravel()
    steps = _steps(flat[chosen])

    def moved(point: tuple[Any, Any]) -> Any:
        index, to = point
        array = jnp.ravel(arrays[at]).at[index].set(to).reshape(arrays[at].shape)
        return value(*[array if position == at else other for position, other in enumerate(arrays)])

    ahead, behind = flat[chosen][:, None] + steps, flat[chosen][:, None] - steps
    points = np.stack([ahead, behind], axis=-1)
    indices = np.broadcast_to(chosen[:, None, None], points.shape)
    run = jit(lambda index, to: jax.lax.map(moved, (index, to)))
    values = np.asarray(run(jnp.asarray(indices.ravel()), jnp.asarray(points.ravel()))).reshape(points.shape)
    here = float(jit(value)(*arrays))
    with np.errstate(all="ignore"):
        # The step that was made, not the one that was meant: x + h is rounded.
        slopes = (values[..., 0] - values[..., 1]) / (ahead - behind)
        jumps = np.abs(values[..., 0] - 2 * here + values[..., 1]) / steps
        return np.stack([slopes, np.abs(values).max(-1) / steps, jumps], -1)


def _steps(entries: Float[np.ndarray, " entry"]) -> Float[np.ndarray, "entry level"]:
    scale = np.maximum(np.abs(entries), 1.0)
    return scale[:, None] * FIRST_STEP * 0.5 ** np.arange(LEVELS)


def _entries(
    name: str, gradient: np.ndarray, chosen: np.ndarray, found: np.ndarray, tolerance: float
) -> list[Entry]:
    entries = []
    for position, flat in enumerate(chosen):
        index = np.unravel_index(int(flat), gradient.shape)
        label = f"{name}[{', '.join(map(str, index))}]" if gradient.shape else name
        exact = float(gradient[index])
        difference, uncertainty = extrapolated(found[position])
        entries.append(_entry(label, exact, difference, uncertainty, tolerance))
    return entries


def _entry(name: str, exact: float, difference: float, uncertainty: float, tolerance: float) -> Entry:
    size = max(abs(exact), abs(difference))
    error = abs(exact - difference) / size if size > 0 else 0.0
    if not (math.isfinite(exact) and math.isfinite(difference)):
        status = DIFFERS if math.isfinite(difference) else UNRESOLVED
        return Entry(name, exact, difference, uncertainty, math.inf, status)
    if error <= tolerance:
        status = AGREES
    elif abs(exact - difference) > 10 * uncertainty:
        status = DIFFERS
    else:
        status = UNRESOLVED
    return Entry(name, exact, difference, uncertainty, error, status)


def extrapolated(levels: Float[np.ndarray, "level 3"]) -> tuple[float, float]:
    """Return a derivative from central differences at halved steps, and its uncertainty.

    Args:
        levels: Columns as `_differences` returns them; float64 rounds off a share of 1e-16 of |f| / h.
    """
    differences, sizes, jumps = levels.T
    # Over four halvings the jump falls sixteenfold where f is smooth.
    if jumps[-1] > 0.5 * jumps[-5] and jumps[-1] > 1e3 * np.finfo(np.float64).eps * sizes[-1]:
        return float(differences[-1]), float(jumps[-1])
    rounding = np.finfo(np.float64).eps * sizes
    table, best = [[float(differences[0])]], (float(differences[0]), math.inf)
    for level in range(1, len(differences)):
        row = [float(differences[level])]
        for order in range(1, level + 1):
            factor = 4.0**order
            row.append((factor * row[order - 1] - table[-1][order - 1]) / (factor - 1))
            change = max(abs(row[order] - row[order - 1]), abs(row[order] - table[-1][order - 1]))
            uncertainty = change + float(rounding[level])
            if math.isfinite(uncertainty) and uncertainty < best[1]:
                best = (row[order], uncertainty)
        table.append(row)
    return best
