"""The published equations in plain NumPy, array by array. Written from the papers, not from any library.

Each takes `(w, g, m, t, lr, n, decays)`: weights, gradient, the state of this array (a dict, empty at first),
steps so far (0 at the first), the learning rate of this step, the rule's numbers, and whether weight decay
applies. It returns the new weights.
"""

import numpy as np

WEIGHTS = ("matrix", "kernel", "embedding")


def _stored(m, name, like):
    return m.setdefault(name, np.zeros_like(like))


def _moments(g, m, n):
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["v"] = n.b2 * _stored(m, "v", g) + (1 - n.b2) * g * g
    return m["m"], m["v"]


def _penalised(w, g, n, decays):
    return g + n.weight_decay * w if decays and n.weight_decay is not None else g


def sgd(w, g, m, t, lr, n, decays):
    rate = n.weight_decay if decays and n.weight_decay is not None else 0.0
    if n.decay_form != "decoupled":
        g = g + {"half": 1, "whole": 2}[n.decay_form] * rate * w
        rate = 0.0
    if n.momentum is None:
        move = lr * g
    elif n.remember == "gradients":
        m["v"] = n.momentum * _stored(m, "v", g) + g
        move = lr * (g + n.momentum * m["v"] if n.nesterov else m["v"])
    else:
        m["v"] = n.momentum * _stored(m, "v", g) - lr * g
        move = -(n.momentum * m["v"] - lr * g if n.nesterov else m["v"])
    return w - move - lr * rate * w


def adagrad(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["s"] = m.get("s", np.full_like(g, n.initial)) + g * g
    return w - lr * g / np.sqrt(m["s"] + n.eps)


def rmsprop(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["n"] = n.decay * _stored(m, "n", g) + (1 - n.decay) * g * g
    m["m"] = n.decay * _stored(m, "m", g) + (1 - n.decay) * g
    variance = np.maximum(m["n"] - m["m"] ** 2, 0) if n.centred else m["n"]
    u = g / (np.sqrt(variance) + n.eps)
    if n.momentum is not None:
        m["v"] = u = n.momentum * _stored(m, "v", g) + u
    return w - lr * u


def adadelta(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["n"] = n.decay * _stored(m, "n", g) + (1 - n.decay) * g * g
    u = g * np.sqrt(_stored(m, "x", g) + n.eps) / np.sqrt(m["n"] + n.eps)
    m["x"] = n.decay * m["x"] + (1 - n.decay) * u * u
    return w - lr * u


def adam(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    return w - lr * (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)


def adamw(w, g, m, t, lr, n, decays):
    mean, square = _moments(g, m, n)
    u = (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)
    return w - lr * (u + (n.weight_decay * w if decays else 0))


def adamax(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["u"] = np.maximum(n.b2 * _stored(m, "u", g), np.abs(g) + n.eps)
    return w - lr / (1 - n.b1 ** (t + 1)) * m["m"] / m["u"]


def nadam(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    mean, square = _moments(g, m, n)
    ahead = n.b1 * mean / (1 - n.b1 ** (t + 2)) + (1 - n.b1) * g / (1 - n.b1 ** (t + 1))
    return w - lr * ahead / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)


def amsgrad(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    if n.corrected:
        mean, square = mean / (1 - n.b1 ** (t + 1)), square / (1 - n.b2 ** (t + 1))
    m["x"] = np.maximum(_stored(m, "x", g), square)
    return w - lr * mean / (np.sqrt(m["x"]) + n.eps)


def radam(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    step = t + 1
    most = 2 / (1 - n.b2) - 1
    length = most - 2 * step * n.b2**step / (1 - n.b2**step)
    mean = mean / (1 - n.b1**step)
    if length < 5:
        return w - lr * mean
    correction = np.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
    return w - lr * correction * mean / (np.sqrt(square / (1 - n.b2**step)) + n.eps)


def lion(w, g, m, t, lr, n, decays):
    old = _stored(m, "m", g)
    m["m"] = n.b2 * old + (1 - n.b2) * g
    return w - lr * (np.sign(n.b1 * old + (1 - n.b1) * g) + (n.weight_decay * w if decays else 0))


def lamb(w, g, m, t, lr, n, decays):
    mean, square = _moments(g, m, n)
    u = (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)
    u = u + (n.weight_decay * w if decays else 0)
    return w - lr * u * np.linalg.norm(w) / np.linalg.norm(u)


def lars(w, g, m, t, lr, n, decays):
    u = g
    if decays:
        u = g + n.weight_decay * w
        u = u * n.trust * np.linalg.norm(w) / (np.linalg.norm(u) + n.eps)
    m["v"] = n.momentum * _stored(m, "v", g) + lr * u
    return w - m["v"]


def adafactor(w, g, m, t, lr, n, decays):
    b = 1 - (t + 1.0) ** -n.decay
    square = g * g + n.eps
    order = np.argsort(w.shape)
    if w.ndim > 1 and w.shape[order[-2]] >= n.smallest:
        long, short = order[-1], order[-2]
        m["r"] = b * m.get("r", 0) + (1 - b) * square.mean(axis=long, keepdims=True)
        m["c"] = b * m.get("c", 0) + (1 - b) * square.mean(axis=short, keepdims=True)
        u = g / np.sqrt(m["r"] * m["c"] / m["r"].mean(axis=short, keepdims=True))
    else:
        m["v"] = b * m.get("v", 0) + (1 - b) * square
        u = g / np.sqrt(m["v"])
    u = u / max(1.0, np.sqrt((u * u).mean()) / n.clip)
    u = lr * u * (max(1e-3, np.sqrt((w * w).mean())) if n.relative else 1.0)
    if n.momentum is not None:
        m["m"] = u = n.momentum * _stored(m, "m", g) + (1 - n.momentum) * u
    return w - u - (lr * n.weight_decay * w if decays else 0)


def muon(w, g, m, t, lr, n, decays):
    flat = g.reshape(g.shape[0], -1)
    m["B"] = n.momentum * m.get("B", 0) + flat
    x = flat + n.momentum * m["B"] if n.nesterov else m["B"]
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    x = x / (np.sqrt((x * x).sum()) + 1e-7)
    for _ in range(n.rounds):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.T if turned else x
    rows, columns = x.shape
    size = max(1, rows / columns) ** 0.5 if n.size == "width" else 0.2 * max(rows, columns) ** 0.5
    return w - lr * (size * x.reshape(g.shape) + n.weight_decay * w)


def soap(w, g, m, t, lr, n, decays):
    """Algorithm 3 of the paper; a vector keeps its own basis."""
    square = w.ndim > 1
    if t == 0:
        if square:
            m["L"], m["R"] = (1 - n.b2) * g @ g.T, (1 - n.b2) * g.T @ g
            m["P"], m["Q"] = np.linalg.eigh(m["L"])[1][:, ::-1], np.linalg.eigh(m["R"])[1][:, ::-1]
        return w
    turn = (lambda x: m["P"].T @ x @ m["Q"]) if square else (lambda x: x)
    back = (lambda x: m["P"] @ x @ m["Q"].T) if square else (lambda x: x)
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["v"] = n.b2 * _stored(m, "v", g) + (1 - n.b2) * turn(g) ** 2
    u = back(turn(m["m"]) / (1 - n.b1**t) / (np.sqrt(m["v"] / (1 - n.b2**t)) + n.eps))
    if square:
        m["L"] = n.b2 * m["L"] + (1 - n.b2) * g @ g.T
        m["R"] = n.b2 * m["R"] + (1 - n.b2) * g.T @ g
        if t % n.every == 0:
            m["P"], m["Q"] = np.linalg.qr(m["L"] @ m["P"])[0], np.linalg.qr(m["R"] @ m["Q"])[0]
    return w - lr * (u + (n.weight_decay * w if decays else 0))
