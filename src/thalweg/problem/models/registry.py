"""All architectures by name: what the command line, run folders, docs and contracts read."""

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.linear import LinearModel
from thalweg.problem.models.mlp import MLP

ARCHITECTURES: dict[str, type[Architecture]] = {kind.name: kind for kind in (LinearModel, MLP)}

# Logistic regression is the linear model under cross-entropy.
ALIASES = {"logistic": "linear"}
