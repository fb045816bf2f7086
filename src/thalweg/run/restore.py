"""A run folder becomes a model again: rebuilt from names the library knows, or from the model the caller
brings.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core import keys
from thalweg.core.choice import choose
from thalweg.core.errors import DataError, ModelError, RunFolderError
from thalweg.problem.data.data import LANGUAGE
from thalweg.problem.data.predict_inputs import inputs_for
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.models import ARCHITECTURES
from thalweg.problem.models.adapter import Built, build
from thalweg.run.folder import weights as files
from thalweg.run.folder.folder import check_files
from thalweg.run.folder.record import Record, read
from thalweg.run.run import outputs


@dataclass(frozen=True)
class Trained:
    """A model read back from a run folder, ready to answer.

    Args:
        record: The run as plain data.
        built: The module with its weights.
        preparation: How raw data becomes input, and outputs become answers.
        weights: Which weights these are, `best` or `final`.
    """

    record: Record = field(repr=False)
    built: Built = field(repr=False)
    preparation: Preparation = field(repr=False)
    weights: str

    def answers(self, source: Any, folder: Path | None = None) -> dict[str, np.ndarray]:
        """Return answers for new data: `prediction`, and `probability_<class>` for classes.

        Raises:
            DataError: The data cannot be read, or the model is one of text, which has no answer for a row.
        """
        if self.record.problem["data"]["task"] == LANGUAGE:
            got, hint = self.record.name, "what it writes stands in the run's sample.txt"
            raise DataError("predict", "a model of text has no answer for a row", got=got, hint=hint)
        inputs = inputs_for(source, self.preparation, folder=folder).inputs
        found = outputs(self.built, self.preparation.scale(inputs))
        return self.preparation.answers(found, self.record.problem["data"]["task"])


def restore(folder: Path | str, *, weights: str | None = None, model: Any = None) -> Trained:
    """Read a trained model back.

    Args:
        folder: The run folder.
        weights: `best` or `final`; None for those that the run was judged by.
        model: The module or factory, when the run was made with a class of the caller's own.

    Raises:
        RunFolderError: No run, or a damaged one.
        ModelError: The run's model is not one of the library's and none was given, or the weights do not fit.
    """
    record = read(folder)
    which = weights or record.result.get("weights") or _there(Path(folder))
    built = build(model if model is not None else _model(record), keys.lane_key(0))
    check_files(Path(folder), (f"{which}.safetensors",))
    arrays = files.load(Path(folder) / f"{which}.safetensors")
    params = files.restored(built.params, arrays)
    model_state = files.restored(built.model_state, arrays, prefix=files.STATE)
    preparation = Preparation.from_dict(record.problem["data"]["preparation"])
    return Trained(record, Built(params, model_state, built.fixed), preparation, which)


def _there(folder: Path) -> str:
    return "best" if (folder / "best.safetensors").exists() else "final"


def _model(record: Record) -> Any:
    told = record.problem.get("model", {}).get("architecture")
    if told is None:
        raise ModelError(
            "model",
            "a run of a class of your own needs that class to be read back",
            got=record.problem.get("model", {}).get("spec"),
            where=record.folder,
            hint="pass it from Python: restore(folder, model=...)",
        )
    try:
        return choose(ARCHITECTURES, told, "model", record.folder)
    except ValueError as error:
        raise RunFolderError(
            "run",
            "problem.json must name a model that this version knows",
            got=told.get("name"),
            where=record.folder,
            hint=str(error).splitlines()[-1],
        ) from error
