"""Update rules. One file each; this table is the registry that TOML, docs and contracts read."""

from thalweg.recipe.optimizers.adadelta import Adadelta
from thalweg.recipe.optimizers.adafactor import Adafactor
from thalweg.recipe.optimizers.adagrad import AdaGrad
from thalweg.recipe.optimizers.adam import Adam
from thalweg.recipe.optimizers.adamax import Adamax
from thalweg.recipe.optimizers.adamw import AdamW
from thalweg.recipe.optimizers.amsgrad import AMSGrad
from thalweg.recipe.optimizers.lamb import LAMB
from thalweg.recipe.optimizers.lars import LARS
from thalweg.recipe.optimizers.line_search import LBFGS, GradientDescent
from thalweg.recipe.optimizers.lion import Lion
from thalweg.recipe.optimizers.muon import Muon
from thalweg.recipe.optimizers.nadam import NAdam
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.prodigy import Prodigy
from thalweg.recipe.optimizers.radam import RAdam
from thalweg.recipe.optimizers.rmsprop import RMSprop
from thalweg.recipe.optimizers.sam import SAM
from thalweg.recipe.optimizers.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from thalweg.recipe.optimizers.sgd import SGD
from thalweg.recipe.optimizers.soap import SOAP

_RULES: tuple[type[Optimizer], ...] = (
    SGD,
    AdaGrad,
    RMSprop,
    Adadelta,
    Adam,
    AdamW,
    Adamax,
    NAdam,
    AMSGrad,
    RAdam,
    Lion,
    LAMB,
    LARS,
    Adafactor,
    Muon,
    SOAP,
    ScheduleFreeSGD,
    ScheduleFreeAdamW,
    Prodigy,
    SAM,
    GradientDescent,
    LBFGS,
)

OPTIMIZERS: dict[str, type[Optimizer]] = {rule.name: rule for rule in _RULES}

__all__ = [
    "LAMB",
    "LARS",
    "LBFGS",
    "OPTIMIZERS",
    "SAM",
    "SGD",
    "SOAP",
    "AMSGrad",
    "AdaGrad",
    "Adadelta",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "GradientDescent",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
]
