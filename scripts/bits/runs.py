"""The runs: many small ones, each with something that no other has.

They use only the command line and the public names. Choices that the library would make by the clock (the
layout of lanes, the budget of a search) are fixed here.
"""

from functools import partial

from bits import runs_data, runs_finding, runs_lanes, runs_steps, runs_stops
from bits.compare import is_chosen
from bits.data import library
from bits.harness import RUNS, Train

# Modules with runs; importing one fills RUNS.
MODULES = (runs_steps, runs_data, runs_lanes, runs_stops, runs_finding)


def chosen(only: list[str]) -> dict[str, Train]:
    """Return the selected runs, including one per optimizer, schedule, loss and model."""
    tw = library()
    all_runs = dict(RUNS)
    all_runs |= {f"optimizer/{name}": partial(runs_steps.with_optimizer, name) for name in tw.OPTIMIZERS}
    all_runs |= {f"schedule/{name}": partial(runs_steps.with_schedule, name) for name in tw.SCHEDULES}
    all_runs |= {f"model/{name}": partial(runs_steps.with_model, name) for name in tw.ARCHITECTURES}
    all_runs |= {f"loss/{name}": partial(runs_steps.with_loss, name) for name in tw.LOSSES}
    return {name: all_runs[name] for name in sorted(all_runs) if is_chosen(name, only)}
