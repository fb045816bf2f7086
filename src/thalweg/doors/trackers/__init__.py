"""Experiment trackers: `train(..., trackers=[trackers.TensorBoard("logs")])`,
`thalweg fit --track NAME:PLACE`.

Each is an object with `start`, `log` and `finish` (`thalweg.run.tracking.Tracker`); one of your own needs no
base class. One that fails is named in a warning and receives nothing more; the run continues.
"""

from collections.abc import Callable
from typing import Any

from thalweg.core.caller import argument
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.doors.trackers.services import MLflow, Trackio, WandB
from thalweg.doors.trackers.tensorboard import TensorBoard, record
from thalweg.run.tracking import Tracker

__all__ = ["TRACKERS", "MLflow", "TensorBoard", "Tracker", "Trackio", "WandB", "parse", "record"]

# By their names on the command line; the place that follows is each one's first argument.
TRACKERS: dict[str, Callable[..., Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
    "trackio": Trackio,
}
_EXAMPLES = {"tensorboard": "logs", "wandb": "my-project", "mlflow": "sqlite:///mlflow.db"}


def parse(text: str) -> Tracker:
    """Return the tracker that `NAME` or `NAME:PLACE` asks for, such as `tensorboard:logs`.

    Raises:
        RecipeError: There is no such tracker.
        MissingExtra: Its package is not installed.
    """
    name, colon, place = text.partition(":")
    if name not in TRACKERS or (colon and not place):
        known = ", ".join(TRACKERS)
        example = f"for example {name}:{_EXAMPLES.get(name, 'my-project')}"
        raise RecipeError(
            argument("track"),
            f"must be NAME or NAME:PLACE, with one of {known}",
            got=text,
            hint=did_you_mean(name, TRACKERS) if name not in TRACKERS else example,
        )
    arguments: tuple[Any, ...] = (place,) if place else ()
    return TRACKERS[name](*arguments)
