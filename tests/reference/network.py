"""A multilayer perceptron with norms, dropout and skips in NumPy, with its backward pass written by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf, expit

EPSILON = 1e-5
KEPT = 0.9  # share of the running statistics that stays at each update
GROUP_WIDTH = 16

Arrays = dict[str, np.ndarray]


def _gelu_slope(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _silu_slope(x: np.ndarray) -> np.ndarray:
    return expit(x) * (1 + x * (1 - expit(x)))


# Each activation with its derivative.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "relu": (lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1.0, 0)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1.0, np.exp(x))),
    "gelu": (lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))), _gelu_slope),
    "silu": (lambda x: x * expit(x), _silu_slope),
    "sigmoid": (expit, lambda x: expit(x) * (1 - expit(x))),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "softplus": (lambda x: np.logaddexp(0, x), expit),
}


class Statistics(NamedTuple):
    """Running statistics of a batch norm: sums with weights 0.9^k, and the sum of the weights."""

    mean: np.ndarray
    variance: np.ndarray
    weight: float


class _Normal(NamedTuple):
    """What the backward pass of a norm needs: normal values, 1/deviation, and the axis of the means."""

    values: np.ndarray
    inverse: np.ndarray
    axis: int
    centred: bool


@dataclass(frozen=True)
class Network:
    """Hidden layers `h = dropout(act(norm(W h + b)))`, the last one `W h + b`.

    Args:
        widths: From input to output.
        activation, norm: Names.
        dropout: Share of hidden units that are zeroed, rounded to 1/65536.
        skip: Whether a hidden layer as wide as its input adds it.
    """

    widths: tuple[int, ...]
    activation: str
    norm: str
    dropout: float = 0.0
    skip: bool = False

    @property
    def hidden(self) -> int:
        """Number of hidden layers."""
        return len(self.widths) - 2

    def first_statistics(self) -> list[Statistics]:
        """Return the running statistics before the first update."""
        widths = self.widths[1:-1] if self.norm == "batch" else ()
        return [Statistics(np.zeros(width), np.zeros(width), 0.0) for width in widths]

    def role(self, path: str) -> str:
        """Return the role of a parameter: matrix, head, bias or scale."""
        owner, number, name = path.split(".")
        if name == "weight":
            return "head" if int(number) == self.hidden else "matrix"
        return "scale" if (owner, name) == ("norms", "scale") else "bias"

    def outputs(self, params: Arrays, statistics: list[Statistics], x: np.ndarray) -> np.ndarray:
        """Return the outputs in evaluation mode: no dropout, running statistics."""
        return self._forward(params, statistics, x, None)[0]

    def gradient(
        self,
        params: Arrays,
        statistics: list[Statistics],
        x: np.ndarray,
        masks: list[np.ndarray] | None,
        slope: Callable[[np.ndarray], tuple[float, np.ndarray]],
    ) -> tuple[float, Arrays, list[Statistics]]:
        """Return a sum of losses in training mode, its gradient, and the next running statistics.

        Args:
            params, statistics: Where it is computed.
            x: Inputs, `row feature`.
            masks: For each hidden layer which units stay, `row unit`; None without dropout.
            slope: From the outputs to the sum of losses and its derivative with respect to the outputs.
        """
        outputs, tape, after = self._forward(params, statistics, x, masks or [], training=True)
        total, d = slope(outputs)
        grads: Arrays = {}
        for index in reversed(range(self.hidden + 1)):
            step = tape[index]
            through = d
            if index < self.hidden:
                if "mask" in step:
                    d = np.where(step["mask"], d * step["scale"], 0)
                d = d * ACTIVATIONS[self.activation][1](step["normal"])
                d = self._norm_backward(params, index, step, d, grads)
            grads[f"layers.{index}.weight"] = d.T @ step["x"]
            grads[f"layers.{index}.bias"] = d.sum(axis=0)
            d = d @ params[f"layers.{index}.weight"]
            if step.get("skip"):
                d = d + through
        return total, grads, after

    def _forward(
        self,
        params: Arrays,
        statistics: list[Statistics],
        x: np.ndarray,
        masks: list[np.ndarray] | None,
        training: bool = False,
    ) -> tuple[np.ndarray, list[dict[str, Any]], list[Statistics]]:
        h, tape, after = x, [], list(statistics)
        for index in range(self.hidden):
            step: dict[str, Any] = {"x": h}
            z = h @ params[f"layers.{index}.weight"].T + params[f"layers.{index}.bias"]
            if self.norm == "batch":
                z, after[index] = self._batch_norm(params, index, z, statistics[index], step, training)
            elif self.norm != "none":
                z = self._row_norm(params, index, z, step)
            step["normal"] = z
            out = ACTIVATIONS[self.activation][0](z)
            if masks:
                threshold = round(self.dropout * 65536)
                step["mask"], step["scale"] = masks[index], 65536 / (65536 - threshold)
                out = np.where(masks[index], out * step["scale"], 0)
            step["skip"] = self.skip and out.shape == h.shape
            h = h + out if step["skip"] else out
            tape.append(step)
        tape.append({"x": h})
        last = self.hidden
        return h @ params[f"layers.{last}.weight"].T + params[f"layers.{last}.bias"], tape, after

    def _batch_norm(
        self,
        params: Arrays,
        index: int,
        z: np.ndarray,
        running: Statistics,
        step: dict[str, Any],
        training: bool,
    ) -> tuple[np.ndarray, Statistics]:
        scale, shift = params[f"norms.{index}.scale"], params[f"norms.{index}.shift"]
        if not training:
            updated = running.weight > 0
            mean = running.mean / running.weight if updated else np.zeros_like(running.mean)
            variance = running.variance / running.weight if updated else np.ones_like(running.variance)
            return (z - mean) / np.sqrt(variance + EPSILON) * scale + shift, running
        rows = len(z)
        mean = z.mean(axis=0)
        variance = ((z - mean) ** 2).mean(axis=0)
        unbiased = variance * rows / max(rows - 1, 1)
        after = Statistics(
            KEPT * running.mean + (1 - KEPT) * mean,
            KEPT * running.variance + (1 - KEPT) * unbiased,
            KEPT * running.weight + (1 - KEPT),
        )
        inverse = 1 / np.sqrt(variance + EPSILON)
        step["norm"] = _Normal((z - mean) * inverse, inverse, 0, True)
        return step["norm"].values * scale + shift, after

    def _groups(self, width: int) -> int:
        """Return the number of groups, which divides the width: nearest to one for 16 features."""
        if self.norm != "group":
            return 1
        return next(n for n in range(max(1, width // GROUP_WIDTH), 0, -1) if width % n == 0)

    def _row_norm(self, params: Arrays, index: int, z: np.ndarray, step: dict[str, Any]) -> np.ndarray:
        grouped = z.reshape(len(z), self._groups(z.shape[1]), -1)
        centred = self.norm != "rms"
        mean = grouped.mean(axis=-1, keepdims=True) if centred else 0.0
        inverse = 1 / np.sqrt(((grouped - mean) ** 2).mean(axis=-1, keepdims=True) + EPSILON)
        step["norm"] = _Normal((grouped - mean) * inverse, inverse, -1, centred)
        normal = step["norm"].values.reshape(z.shape) * params[f"norms.{index}.scale"]
        return normal + params[f"norms.{index}.shift"] if centred else normal

    def _norm_backward(
        self, params: Arrays, index: int, step: dict[str, Any], d: np.ndarray, grads: Arrays
    ) -> np.ndarray:
        if self.norm == "none":
            return d
        normal: _Normal = step["norm"]
        grads[f"norms.{index}.scale"] = (d * normal.values.reshape(d.shape)).sum(axis=0)
        if self.norm != "rms":
            grads[f"norms.{index}.shift"] = d.sum(axis=0)
        d = (d * params[f"norms.{index}.scale"]).reshape(normal.values.shape)
        along = d - normal.values * (d * normal.values).mean(axis=normal.axis, keepdims=True)
        if normal.centred:
            along = along - d.mean(axis=normal.axis, keepdims=True)
        return (along * normal.inverse).reshape(len(d), -1)
