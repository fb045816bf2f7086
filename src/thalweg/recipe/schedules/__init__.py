"""Learning-rate schedules. `SCHEDULES` is the registry that TOML, docs and contract tests read.

To add a schedule, define its class in a module of this folder and list it in that module's `__all__`.
"""

from thalweg.core.choice import registry
from thalweg.recipe.schedules import decays, plateau, warmup
from thalweg.recipe.schedules.decays import *  # noqa: F403
from thalweg.recipe.schedules.plateau import *  # noqa: F403
from thalweg.recipe.schedules.schedule import Clock as Clock
from thalweg.recipe.schedules.schedule import Schedule as Schedule
from thalweg.recipe.schedules.warmup import *  # noqa: F403

SCHEDULES: dict[str, type[Schedule]] = registry(Schedule, decays, warmup, plateau)
