"""The texts' checklist: each point with its source, the experiments of the lab that try it, and its rule."""

from collections.abc import Callable
from dataclasses import dataclass

from thalweg.lab import checklist
from thalweg.lab.checklist import Answer, Subject


@dataclass(frozen=True)
class Point:
    """A point of the checklist.

    Args:
        name: In one or two words.
        advice: One sentence.
        source: Whose advice it is.
        experiments: Of the lab, that try it.
        judge: What a subject says to it.
    """

    name: str
    advice: str
    source: str
    experiments: tuple[str, ...]
    judge: Callable[[Subject], Answer]


_BENGIO = "Bengio, Practical Recommendations for Gradient-Based Training, 2012"
_BOOK = "Goodfellow et al., Deep Learning, 2016"
POINTS = (
    Point(
        "inputs",
        "Give inputs mean 0 and variance 1.",
        "LeCun et al., Efficient BackProp, 1998, section 4.3",
        ("input_scaling",),
        checklist.inputs,
    ),
    Point(
        "loss",
        "For classes, take cross-entropy of logits.",
        f"{_BOOK}, section 6.2.2",
        ("classes_by_values", "squared_error", "softmax_twice"),
        checklist.loss,
    ),
    Point(
        "initialisation",
        "Start ReLU layers with He's weights, tanh layers with Xavier's.",
        "Glorot & Bengio 2010; He et al. 2015",
        ("initial_variance", "vanishing"),
        checklist.start,
    ),
    Point(
        "depth",
        "Give deep networks residual connections or norm layers.",
        "He et al., Deep Residual Learning, 2016",
        ("plain_or_residual", "product_of_jacobians", "batch_norm_rates"),
        checklist.depth,
    ),
    Point(
        "shuffle",
        "Shuffle the examples anew each epoch.",
        _BENGIO,
        ("shuffling", "reshuffling"),
        checklist.shuffle,
    ),
    Point(
        "mini-batches",
        "Train on mini-batches that are small against the data.",
        _BENGIO,
        ("mini_batch", "large_batch", "gradient_noise"),
        checklist.batch,
    ),
    Point(
        "batch norm",
        "Leave no tiny batch to batch norm.",
        "Wu & He, Group Normalization, 2018",
        ("tiny_batch_norm",),
        checklist.small_norm,
    ),
    Point(
        "optimizer",
        "Take momentum, or an adaptive optimizer.",
        "Sutskever et al. 2013; Kingma & Ba, Adam, 2015",
        ("momentum_ravine", "slow", "default_or_plain"),
        checklist.momentum,
    ),
    Point(
        "rate",
        "Start with a rate near the optimizer's usual one.",
        _BENGIO,
        ("rule_of_thumb", "adam_rates", "divergence"),
        checklist.rate,
    ),
    Point(
        "tuned rate",
        "Search for the rate before all else.",
        _BENGIO,
        ("retuning", "adam_default"),
        checklist.tuned,
    ),
    Point(
        "large batch",
        "Raise the rate with the batch.",
        "Goyal et al., Accurate, Large Minibatch SGD, 2017",
        ("linear_scaling",),
        checklist.scaling,
    ),
    Point(
        "warmup",
        "Raise the rate over the first updates.",
        "Goyal et al. 2017",
        ("warm_start",),
        checklist.warmup,
    ),
    Point(
        "decay of the rate",
        "Lower the rate towards the end.",
        f"Robbins & Monro 1951; {_BOOK}, section 8.3.1",
        ("start_high", "equal_budget"),
        checklist.decay,
    ),
    Point(
        "clipping",
        "Clip the norm of the gradient.",
        "Pascanu, Mikolov & Bengio 2013",
        ("clipping", "exploding"),
        checklist.clipping,
    ),
    Point(
        "weight decay",
        "Decay the weights a little.",
        "Krogh & Hertz 1992; Loshchilov & Hutter 2019",
        ("weight_decay", "decoupled_decay"),
        checklist.weight_decay,
    ),
    Point(
        "dropout",
        "Drop units of a model that is large against its data.",
        "Srivastava et al., Dropout, 2014",
        ("dropout",),
        checklist.dropout,
    ),
    Point(
        "early stopping",
        "Keep the weights of the best validation loss.",
        "Prechelt, Early Stopping - But When?, 1998",
        ("early_stopping",),
        checklist.stopping,
    ),
    Point(
        "averaging",
        "Average the weights.",
        "Polyak & Juditsky 1992",
        ("averaged_weights",),
        checklist.averaging,
    ),
)
