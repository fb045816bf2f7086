"""The trainings: small, many, and each with something that no other has.

Only what users call is used: the command line and the public names. Where a choice would be made by the clock
(how lanes are laid out, what a search may cost) it is made here.
"""

from functools import partial

from bits import of_data, of_ends, of_finding, of_lanes, of_steps
from bits.calling import RUNS, Train
from bits.comparing import is_chosen
from bits.data import library

# The rooms of trainings; importing one fills RUNS.
ROOMS = (of_steps, of_data, of_lanes, of_ends, of_finding)


def chosen(only: list[str]) -> dict[str, Train]:
    """Return the trainings that were asked for, with one for each optimizer, schedule, loss and model."""
    tw = library()
    every = dict(RUNS)
    every |= {f"optimizer/{name}": partial(of_steps.with_optimizer, name) for name in tw.OPTIMIZERS}
    every |= {f"schedule/{name}": partial(of_steps.with_schedule, name) for name in tw.SCHEDULES}
    every |= {f"model/{name}": partial(of_steps.with_model, name) for name in tw.ARCHITECTURES}
    every |= {f"loss/{name}": partial(of_steps.with_loss, name) for name in tw.LOSSES}
    return {name: every[name] for name in sorted(every) if is_chosen(name, only)}
