"""Models: named architectures, the parts they are made of, and any Equinox module through the adapter."""

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.checks import check
from thalweg.problem.models.cnn import CNN
from thalweg.problem.models.deep import VGG, ResNet
from thalweg.problem.models.default import default_model
from thalweg.problem.models.gpt import GPT
from thalweg.problem.models.linear import LinearModel
from thalweg.problem.models.mlp import MLP
from thalweg.problem.models.recurrent import GRU, LSTM, RNN
from thalweg.problem.models.registry import ARCHITECTURES
from thalweg.problem.models.spec import parse

__all__ = [
    "ARCHITECTURES",
    "CNN",
    "GPT",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "VGG",
    "Architecture",
    "LinearModel",
    "ResNet",
    "check",
    "default_model",
    "parse",
]
