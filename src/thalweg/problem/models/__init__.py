"""Models: named architectures, the parts they are made of, and any Equinox module through the adapter."""

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.checks import check
from thalweg.problem.models.default import default_model
from thalweg.problem.models.linear import LinearModel
from thalweg.problem.models.mlp import MLP
from thalweg.problem.models.registry import ARCHITECTURES
from thalweg.problem.models.spec import parse

__all__ = ["ARCHITECTURES", "MLP", "Architecture", "LinearModel", "check", "default_model", "parse"]
