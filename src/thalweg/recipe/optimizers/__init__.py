"""Update rules. One file each; this table is the registry that TOML, docs and contracts read."""

from thalweg.recipe.optimizers.adamw import AdamW
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {rule.name: rule for rule in (SGD, AdamW)}

__all__ = ["OPTIMIZERS", "SGD", "AdamW", "Optimizer"]
