"""Trackers with packages of their own: Weights & Biases, MLflow and Trackio.

Each lane is a run of the service, the lanes of a sweep are a group (MLflow: children of one run). What the
packages print goes to standard error, since standard output belongs to the caller's answer.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from thalweg.core.errors import MissingExtra, RecipeError
from thalweg.run.progress import TrainingPlan
from thalweg.run.tracking import end_figures, lane_names, settings_of

# A run of such a service costs some tens of milliseconds and a thread or a table row; none is made to show
# thousands beside each other.
MOST_LANES = 256
_LONGEST_VALUE = 6000  # characters of a parameter (MLflow)


class _Service:
    """What the three have in common: a run of the service for each lane."""

    def __init__(self, module: str, package: str):
        try:
            with _to_standard_error():
                self._module: Any = import_module(module)
        except ImportError as error:
            name, hint = type(self).__name__, f"pip install {package}"
            raise MissingExtra("trackers", f"{name} needs its package", got=str(error), hint=hint) from error
        self._runs: list[Any] = []

    def start(self, plan: TrainingPlan) -> None:
        """Create a run for each lane, with its settings."""
        if plan.lanes > MOST_LANES:
            rule = f"{type(self).__name__} takes at most {MOST_LANES} lanes"
            hint = "TensorBoard takes any number, and the run folder has everything"
            raise RecipeError("trackers", rule, got=plan.lanes, hint=hint)
        with _to_standard_error():
            self._runs = self._created(plan)

    def log(self, step: int, figures: Mapping[str, float], lane: int) -> None:
        """Pass figures on."""
        with _to_standard_error():
            self._logged(self._runs[lane], step, dict(figures))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Pass the test figures of a single run on, and end the runs."""
        with _to_standard_error():
            if len(self._runs) == 1 and (figures := end_figures(result)):
                self._logged(self._runs[0], int(result.get("steps") or 0), figures)
            self._ended(failed=not result)

    def _created(self, plan: TrainingPlan) -> list[Any]:
        raise NotImplementedError

    def _logged(self, run: Any, step: int, figures: dict[str, float]) -> None:
        raise NotImplementedError

    def _ended(self, failed: bool) -> None:
        raise NotImplementedError


class WandB(_Service):
    """Reports to Weights & Biases (`pip install wandb`).

    Args:
        project: The project; created if missing.
        mode: `online`, `offline` (files that `wandb sync` uploads) or `disabled`; None: what `wandb` is
            configured for, such as by the environment variable WANDB_MODE.
        folder: Where `wandb` keeps its files; None: its own choice.

    Raises:
        MissingExtra: `wandb` is not installed.
    """

    def __init__(self, project: str = "thalweg", mode: str | None = None, folder: Path | str | None = None):
        super().__init__("wandb", "wandb")
        self._project, self._mode, self._folder = project, mode, folder

    def _created(self, plan: TrainingPlan) -> list[Any]:
        return [
            self._module.init(
                project=self._project,
                name=name,
                group=plan.name if plan.lanes > 1 else None,
                config=settings_of(plan.settings, lane),
                mode=self._mode,
                dir=None if self._folder is None else str(self._folder),
                reinit="create_new",  # several runs at once in a process
            )
            for lane, name in enumerate(lane_names(plan))
        ]

    def _logged(self, run: Any, step: int, figures: dict[str, float]) -> None:
        run.log(figures, step=step)

    def _ended(self, failed: bool) -> None:
        for run in self._runs:
            run.finish(exit_code=int(failed))


class MLflow(_Service):
    """Reports to MLflow (`pip install mlflow`, or `mlflow-skinny` to report to a server).

    Args:
        uri: A tracking server or store, such as `sqlite:///mlflow.db` or `http://localhost:5000`; None: what
            MLflow is configured for, such as by the environment variable MLFLOW_TRACKING_URI.
        experiment: The experiment; created if missing.

    Raises:
        MissingExtra: `mlflow` is not installed.
    """

    def __init__(self, uri: str | None = None, experiment: str = "thalweg"):
        super().__init__("mlflow", "mlflow")
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._parent: str | None = None
        self._pending: list[Any] = []

    def _created(self, plan: TrainingPlan) -> list[Any]:
        self._client = self._module.MlflowClient(tracking_uri=self._uri)
        found = self._client.get_experiment_by_name(self._experiment)
        where = found.experiment_id if found else self._client.create_experiment(self._experiment)
        tags: dict[str, Any] = {}
        if plan.lanes > 1:
            self._parent = self._client.create_run(where, run_name=plan.name).info.run_id
            tags = {"mlflow.parentRunId": self._parent}
        runs = []
        for lane, name in enumerate(lane_names(plan)):
            run = self._client.create_run(where, run_name=name, tags=tags).info.run_id
            settings = settings_of(plan.settings, lane)
            parameters = [
                self._module.entities.Param(key, str(value)[:_LONGEST_VALUE])
                for key, value in settings.items()
            ]
            self._client.log_batch(run, params=parameters)
            runs.append(run)
        return runs

    def _logged(self, run: Any, step: int, figures: dict[str, float]) -> None:
        now, metric = int(1000 * time.time()), self._module.entities.Metric
        self._client.log_batch(
            run, metrics=[metric(name, value, now, step) for name, value in figures.items()]
        )

    def _ended(self, failed: bool) -> None:
        for operation in self._pending:
            operation.wait()
        for run in [*self._runs, *([self._parent] if self._parent else [])]:
            self._client.set_terminated(run, "FAILED" if failed else "FINISHED")


class Trackio(_Service):
    """Reports to Trackio (`pip install trackio`), whose figures stay on this machine until told otherwise.

    Args:
        project: The project; created if missing.
        space: A Hugging Face Space to report to in place of this machine.

    Raises:
        MissingExtra: `trackio` is not installed.
    """

    def __init__(self, project: str = "thalweg", space: str | None = None):
        super().__init__("trackio", "trackio")
        self._project, self._space = project, space

    def _created(self, plan: TrainingPlan) -> list[Any]:
        return [
            self._module.init(
                project=self._project,
                name=name,
                group=plan.name if plan.lanes > 1 else None,
                space_id=self._space,
                config=settings_of(plan.settings, lane),
                embed=False,
            )
            for lane, name in enumerate(lane_names(plan))
        ]

    def _logged(self, run: Any, step: int, figures: dict[str, float]) -> None:
        # JSON has no infinities.
        run.log({name: value for name, value in figures.items() if math.isfinite(value)}, step=step)

    def _ended(self, failed: bool) -> None:
        for run in self._runs:
            run.finish()


@contextlib.contextmanager
def _to_standard_error() -> Iterator[None]:
    with contextlib.redirect_stdout(sys.stderr):
        yield
