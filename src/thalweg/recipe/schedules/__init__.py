"""Learning-rate schedules. This table is the registry that TOML, docs and contracts read."""

from thalweg.recipe.schedules.constant import Constant
from thalweg.recipe.schedules.cosine_restarts import CosineRestarts
from thalweg.recipe.schedules.decays import Cosine, Exponential, InverseTime, MultiStep, Polynomial, StepDecay
from thalweg.recipe.schedules.one_cycle import OneCycle
from thalweg.recipe.schedules.plateau import Plateau
from thalweg.recipe.schedules.schedule import Clock, Schedule
from thalweg.recipe.schedules.stable_decay import WarmupStableDecay
from thalweg.recipe.schedules.warmup import Warmup
from thalweg.recipe.schedules.warmup_cosine import WarmupCosine

_RULES: tuple[type[Schedule], ...] = (
    Constant,
    StepDecay,
    MultiStep,
    Exponential,
    InverseTime,
    Polynomial,
    Cosine,
    CosineRestarts,
    OneCycle,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
    Plateau,
)

SCHEDULES: dict[str, type[Schedule]] = {rule.name: rule for rule in _RULES}

__all__ = [
    "SCHEDULES",
    "Clock",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseTime",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Schedule",
    "StepDecay",
    "Warmup",
    "WarmupCosine",
    "WarmupStableDecay",
]
