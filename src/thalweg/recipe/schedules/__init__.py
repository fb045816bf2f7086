"""Learning-rate schedules. `SCHEDULES` is the registry that TOML, docs and contract tests read.

To add a schedule, define its class in a module of this folder and list it in that module's `__all__`.
"""

from thalweg.core.choice import Registry, registry
from thalweg.recipe.schedules import decays, plateau, warmup
from thalweg.recipe.schedules.custom import FunctionSchedule as FunctionSchedule
from thalweg.recipe.schedules.custom import as_schedule as as_schedule
from thalweg.recipe.schedules.custom import check_factors as check_factors
from thalweg.recipe.schedules.custom import class_named, custom_schedule
from thalweg.recipe.schedules.decays import *  # noqa: F403
from thalweg.recipe.schedules.plateau import *  # noqa: F403
from thalweg.recipe.schedules.schedule import Clock as Clock
from thalweg.recipe.schedules.schedule import Schedule as Schedule
from thalweg.recipe.schedules.warmup import *  # noqa: F403

SCHEDULES: dict[str, type[Schedule]] = Registry(
    registry(Schedule, decays, warmup, plateau), FunctionSchedule, class_named
)
CustomSchedule = custom_schedule
