"""Learning-rate schedules. One file each; this table is the registry that TOML, docs and contracts read."""

from thalweg.recipe.schedules.constant import Constant
from thalweg.recipe.schedules.schedule import Clock, Schedule
from thalweg.recipe.schedules.warmup_cosine import WarmupCosine

SCHEDULES: dict[str, type[Schedule]] = {rule.name: rule for rule in (Constant, WarmupCosine)}

__all__ = ["SCHEDULES", "Clock", "Constant", "Schedule", "WarmupCosine"]
