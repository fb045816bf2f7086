"""`restore`: load a trained model from a run folder.

The model is rebuilt from a name that the library knows, or from the model that the caller passes.
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
from thalweg.problem.models.adapter import PartitionedModel, build
from thalweg.run.folder import weights as files
from thalweg.run.folder.folder import check_files
from thalweg.run.folder.record import Record, read
from thalweg.run.run import outputs


@dataclass(frozen=True)
class Trained:
    """A model read back from a run folder, ready to predict.

    Args:
        record: The run as plain data.
        built: The module with its weights.
        preparation: Turns raw data into inputs, and outputs into predictions.
        weights: Which weights these are, `best` or `final`.
    """

    record: Record = field(repr=False)
    built: PartitionedModel = field(repr=False)
    preparation: Preparation = field(repr=False)
    weights: str

    def answers(self, source: Any, folder: Path | None = None) -> dict[str, np.ndarray]:
        """Return predictions for new data: `prediction`, and `probability_<class>` for classes.

        Raises:
            DataError: The data cannot be read, or the model is a language model, which predicts no row.
        """
        task = self.record.problem["data"]["task"]
        if task == LANGUAGE:
            got, hint = self.record.name, "the run's sample.txt shows what it writes"
            raise DataError("predict", "a language model makes no prediction for a row", got=got, hint=hint)
        inputs = inputs_for(source, self.preparation, folder=folder)
        return self.preparation.answers(outputs(self.built, self.preparation.scale(inputs)), task)


def restore(folder: Path | str, *, weights: str | None = None, model: Any = None) -> Trained:
    """Load a trained model from a run folder.

    Args:
        folder: The run folder.
        weights: `best` or `final`; None for those that the run selected.
        model: The module or factory, where the run trained a custom class.

    Raises:
        RunFolderError: There is no run, or it is damaged.
        ModelError: The run's model is not one of the library's and none was passed, or its weights do not
            fit.
    """
    record, path = read(folder), Path(folder)
    which = weights or record.result.get("weights")
    if which is None:
        which = "best" if (path / "best.safetensors").exists() else "final"
    built = build(model if model is not None else _model(record), keys.lane_key(0))
    check_files(path, (f"{which}.safetensors",))
    arrays = files.load(path / f"{which}.safetensors")
    params = files.load_into(built.params, arrays)
    model_state = files.load_into(built.model_state, arrays, prefix=files.STATE)
    preparation = Preparation.from_dict(record.problem["data"]["preparation"])
    return Trained(record, PartitionedModel(params, model_state, built.fixed), preparation, which)


def _model(record: Record) -> Any:
    architecture = record.problem.get("model", {}).get("architecture")
    if architecture is None:
        raise ModelError(
            "model",
            "a run of a custom model class can only be restored with that class",
            got=record.problem.get("model", {}).get("spec"),
            where=record.folder,
            hint="pass it from Python: restore(folder, model=...)",
        )
    try:
        return choose(ARCHITECTURES, architecture, "model", record.folder)
    except ValueError as error:
        raise RunFolderError(
            "run",
            "problem.json must name a model that this version knows",
            got=architecture.get("name"),
            where=record.folder,
            hint=str(error).splitlines()[-1],
        ) from error
