"""Optimizers by family. `OPTIMIZERS` is the registry that TOML, docs and contract tests read.

To add an optimizer, define its class in a family module and list it in that module's `__all__`.
"""

from thalweg.core.choice import Registry, registry
from thalweg.recipe.optimizers import adam, adaptive, closure, large_batch, matrix, parameter_free, sgd
from thalweg.recipe.optimizers.adam import *  # noqa: F403
from thalweg.recipe.optimizers.adaptive import *  # noqa: F403
from thalweg.recipe.optimizers.closure import *  # noqa: F403
from thalweg.recipe.optimizers.custom import CustomRule as CustomRule
from thalweg.recipe.optimizers.custom import as_optimizer as as_optimizer
from thalweg.recipe.optimizers.custom import class_named, custom
from thalweg.recipe.optimizers.custom import is_rule as is_rule
from thalweg.recipe.optimizers.large_batch import *  # noqa: F403
from thalweg.recipe.optimizers.matrix import *  # noqa: F403
from thalweg.recipe.optimizers.optimizer import Optimizer as Optimizer
from thalweg.recipe.optimizers.parameter_free import *  # noqa: F403
from thalweg.recipe.optimizers.sgd import *  # noqa: F403

OPTIMIZERS: dict[str, type[Optimizer]] = Registry(
    registry(Optimizer, sgd, adaptive, adam, large_batch, matrix, parameter_free, closure),
    CustomRule,
    class_named,
)
Custom = custom
