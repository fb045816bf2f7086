"""All architectures by name: what the command line, run folders, docs and contracts read."""

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.cnn import CNN
from thalweg.problem.models.deep import VGG, ResNet
from thalweg.problem.models.gpt import GPT
from thalweg.problem.models.linear import LinearModel
from thalweg.problem.models.mlp import MLP
from thalweg.problem.models.recurrent import GRU, LSTM, RNN

_ALL = (LinearModel, MLP, CNN, VGG, ResNet, RNN, LSTM, GRU, GPT)
ARCHITECTURES: dict[str, type[Architecture]] = {kind.name: kind for kind in _ALL}

# Logistic regression is the linear model under cross-entropy.
ALIASES = {"logistic": "linear"}
