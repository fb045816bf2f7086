"""Networks and update rules in plain NumPy, from the papers; nothing of Thalweg is imported here.

A network maps parameters and a batch to the mean loss and its gradient, both dicts of arrays by name. A rule
is a class that is made with its settings and called once for each step: `rule(name, w, g, lr)` returns the
new weights of one array, and keeps its memory in itself.
"""

from collections.abc import Callable

import numpy as np

Params = dict[str, np.ndarray]


def softmax_loss(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean cross-entropy of rows, and its gradient by the logits."""
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    wanted = np.eye(logits.shape[-1])[labels]
    return float(-(wanted * logs).sum(-1).mean()), (np.exp(logs) - wanted) / labels.size


def perceptron(w: Params, x: np.ndarray, labels: np.ndarray) -> tuple[float, Params]:
    """`V relu(W x + b) + c`: loss and gradient of a batch."""
    before = x @ w["W"].T + w["b"]
    hidden = np.maximum(before, 0)
    loss, by_logits = softmax_loss(hidden @ w["V"].T + w["c"], labels)
    by_before = by_logits @ w["V"] * (before > 0)
    return loss, {
        "W": by_before.T @ x,
        "b": by_before.sum(0),
        "V": by_logits.T @ hidden,
        "c": by_logits.sum(0),
    }


def linear(w: Params, x: np.ndarray, labels: np.ndarray) -> tuple[float, Params]:
    """`W x + b`: loss and gradient of a batch."""
    loss, by_logits = softmax_loss(x @ w["W"].T + w["b"], labels)
    return loss, {"W": by_logits.T @ x, "b": by_logits.sum(0)}


def elman(w: Params, tokens: np.ndarray, carry: np.ndarray) -> tuple[float, Params, np.ndarray]:
    """`h = tanh(W E[token] + U h + b)`, logits `V h + c`: loss, gradient and last h of a batch of windows.

    Args:
        w: The parameters.
        tokens: `row time + 1`; each is predicted from those before it.
        carry: h before the first token, `row unit`: a constant, no gradient goes through it.
    """
    rows, length = tokens.shape[0], tokens.shape[1] - 1
    inputs, states = w["E"][tokens[:, :-1]], [carry]
    for t in range(length):
        states.append(np.tanh(inputs[:, t] @ w["W"].T + states[-1] @ w["U"].T + w["b"]))
    hidden = np.stack(states[1:], 1)
    loss, by_logits = softmax_loss(hidden @ w["V"].T + w["c"], tokens[:, 1:])
    grads = {name: np.zeros_like(value) for name, value in w.items()}
    grads["V"] = np.einsum("rto,rtu->ou", by_logits, hidden)
    grads["c"] = by_logits.sum((0, 1))
    later = np.zeros_like(carry)
    for t in reversed(range(length)):
        by_sum = (by_logits[:, t] @ w["V"] + later) * (1 - hidden[:, t] ** 2)
        grads["W"] += by_sum.T @ inputs[:, t]
        grads["U"] += by_sum.T @ states[t]
        grads["b"] += by_sum.sum(0)
        np.add.at(grads["E"], tokens[:, t], by_sum @ w["W"])
        later = by_sum @ w["U"]
    assert rows == len(carry)
    return loss, grads, states[-1]


class Rule:
    """An update rule with its settings and its memory."""

    def __init__(self, **settings: float):
        self.set, self.memory = settings, {}

    def __call__(self, name: str, w: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
        """Return the new weights of one array."""
        memory = self.memory.setdefault(name, {"t": 0})
        memory["t"] += 1
        return self.step(memory, w, g, lr, **self.set)

    def step(self, m: dict, w: np.ndarray, g: np.ndarray, lr: float, **settings: float) -> np.ndarray:
        """Do one step; `m` is the memory of the array, with the number of this step, from 1, under `t`."""
        raise NotImplementedError


class Momentum(Rule):
    """Polyak 1964, as Sutskever et al. 2013 write it without Nesterov's look ahead: v = b v + g."""

    def step(self, m, w, g, lr, b):
        """Do one step."""
        m["v"] = b * m.get("v", 0) + g
        return w - lr * m["v"]


class AdamW(Rule):
    """Loshchilov & Hutter 2019, algorithm 2; weight decay of arrays with one axis is left out."""

    def step(self, m, w, g, lr, b1, b2, eps, decay):
        """Do one step."""
        m["m"] = b1 * m.get("m", 0) + (1 - b1) * g
        m["v"] = b2 * m.get("v", 0) + (1 - b2) * g**2
        mean, square = m["m"] / (1 - b1 ** m["t"]), m["v"] / (1 - b2 ** m["t"])
        return w - lr * (mean / (np.sqrt(square) + eps) + (decay * w if w.ndim > 1 else 0))


class LARS(Rule):
    """You, Gitman & Ginsburg 2017, algorithm 1; arrays with one axis get plain momentum of steps."""

    def step(self, m, w, g, lr, b, trust, decay):
        """Do one step."""
        local = 1.0
        if w.ndim > 1:
            g = g + decay * w
            local = trust * np.linalg.norm(w) / np.linalg.norm(g)
        m["v"] = b * m.get("v", 0) + lr * local * g
        return w - m["v"]


class Adafactor(Rule):
    """Shazeer & Stern 2018, algorithms 4 (matrices) and 5 (vectors), with relative step sizes."""

    def step(self, m, w, g, lr, power, clip, eps):
        """Do one step."""
        b = 1 - m["t"] ** -power
        square = g**2 + eps
        if w.ndim == 2:
            m["R"] = b * m.get("R", 0) + (1 - b) * square.sum(1)
            m["C"] = b * m.get("C", 0) + (1 - b) * square.sum(0)
            estimate = np.outer(m["R"], m["C"]) / m["R"].sum()
        else:
            estimate = m["V"] = b * m.get("V", 0) + (1 - b) * square
        u = g / np.sqrt(estimate)
        u = u / max(1, np.sqrt(np.mean(u**2)) / clip)
        return w - lr * max(1e-3, np.sqrt(np.mean(w**2))) * u


class Muon(Rule):
    """Jordan et al. 2024: momentum, Nesterov's, made orthogonal by five rounds; AdamW for vectors."""

    def __init__(self, b, adam, **settings):
        super().__init__(b=b)
        self.adam, self.adam_share = AdamW(**settings), adam

    def __call__(self, name, w, g, lr):
        """Return the new weights of one array; `adam` is AdamW's rate as a multiple of that of matrices."""
        return (
            super().__call__(name, w, g, lr) if w.ndim == 2 else self.adam(name, w, g, lr * self.adam_share)
        )

    def step(self, m, w, g, lr, b):
        """Do one step."""
        m["B"] = b * m.get("B", 0) + g
        x = g + b * m["B"]
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):  # X (a I + b X'X + c (X'X)^2), which is the same polynomial from the other side
            gram = x.T @ x
            x = 3.4445 * x + x @ (-4.7750 * gram + 2.0315 * gram @ gram)
        return w - lr * max(1, w.shape[0] / w.shape[1]) ** 0.5 * x


class SOAP(Rule):
    """Vyas et al. 2025, algorithm 3; the first gradient only makes the basis, and vectors are Adam's."""

    def step(self, m, w, g, lr, b1, b2, eps, every):
        """Do one step."""
        square = w.ndim == 2
        t = m["t"] - 1
        if t == 0:
            if square:
                m["L"], m["R"] = (1 - b2) * g @ g.T, (1 - b2) * g.T @ g
                m["QL"], m["QR"] = (np.linalg.eigh(side)[1][:, ::-1] for side in (m["L"], m["R"]))
            return w
        left, right = (m["QL"], m["QR"]) if square else (np.eye(1), np.eye(len(g)))
        turned = left.T @ np.atleast_2d(g) @ right
        m["M"] = b1 * m.get("M", 0) + (1 - b1) * g
        m["V"] = b2 * m.get("V", 0) + (1 - b2) * turned**2
        mean = left.T @ np.atleast_2d(m["M"]) @ right / (1 - b1**t)
        inside = mean / (np.sqrt(m["V"] / (1 - b2**t)) + eps)
        if square:
            m["L"], m["R"] = b2 * m["L"] + (1 - b2) * g @ g.T, b2 * m["R"] + (1 - b2) * g.T @ g
            if t % every == 0:
                m["QL"], m["QR"] = np.linalg.qr(m["L"] @ left)[0], np.linalg.qr(m["R"] @ right)[0]
        return w - lr * (left @ inside @ right.T).reshape(w.shape)


def clipped_rows(share: float) -> Callable[[Params, Params], Params]:
    """Adaptive gradient clipping, Brock et al. 2021, equation 3: every row of outputs by its own norm."""

    def clip(w: Params, grads: Params) -> Params:
        after = {}
        for name, g in grads.items():
            rows = [(g[i], max(np.linalg.norm(w[name][i]), 1e-3)) for i in range(len(g))]
            norms = [(row, np.linalg.norm(row), size) for row, size in rows]
            after[name] = np.array(
                [row * min(1, share * size / max(norm, 1e-300)) for row, norm, size in norms]
            )
        return after

    return clip


def clipped_norm(limit: float) -> Callable[[Params, Params], Params]:
    """Pascanu, Mikolov & Bengio 2013: the whole gradient to a norm of at most `limit`."""

    def clip(w: Params, grads: Params) -> Params:
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        return {name: g * (limit / norm if norm > limit else 1) for name, g in grads.items()}

    return clip
