"""Losses and metrics, one family a file. Command line, docs and contracts read `LOSSES` and `METRICS`."""

from thalweg.problem.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy, KullbackLeibler
from thalweg.problem.losses.hinge import Hinge
from thalweg.problem.losses.infer import LOSSES, as_loss, cross_entropy, default_loss, default_metric, mse
from thalweg.problem.losses.loss import Custom, Loss
from thalweg.problem.losses.metrics import METRICS, Metric, accuracy, as_metric, mae, perplexity, rmse, top5
from thalweg.problem.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from thalweg.problem.losses.weighting import Weighted, balanced, unweighted

__all__ = [
    "LOSSES",
    "METRICS",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Custom",
    "Hinge",
    "Huber",
    "KullbackLeibler",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Weighted",
    "accuracy",
    "as_loss",
    "as_metric",
    "balanced",
    "cross_entropy",
    "default_loss",
    "default_metric",
    "mae",
    "mse",
    "perplexity",
    "rmse",
    "top5",
    "unweighted",
]
