"""`restore`: load a trained model from a run folder.

The model is rebuilt from a name that the library knows, or from the model that the caller passes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np

from thalweg.core.arguments import check, checked
from thalweg.core.caller import argument
from thalweg.core.choice import choose
from thalweg.core.errors import BadInput, DataError, ModelError, RunFolderError, ThalwegError
from thalweg.core.imports import allowing, from_record
from thalweg.core.lazy import pl
from thalweg.problem.calibration import Calibration
from thalweg.problem.data.data import LANGUAGE
from thalweg.problem.data.files.tables import find_column
from thalweg.problem.data.predict_inputs import NewData, read_new
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.losses.outputs import LOGITS
from thalweg.problem.models import ARCHITECTURES
from thalweg.problem.models.adapter import PartitionedModel, fixed_as_trained, shapes_as_trained
from thalweg.run.folder import weights as files
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.record import Record, read
from thalweg.run.outputs import outputs, reject_objective


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

    @property
    def model(self) -> eqx.Module:
        """The trained Equinox module, in inference mode."""
        return eqx.nn.inference_mode(eqx.combine(self.built.params, self.built.fixed))

    def answers(
        self, source: Any, folder: Path | None = None, note: Callable[[str], Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Return predictions for new data: `prediction`, and `probability_<class>` for classes
        (`score_<class>` where outputs are scores).

        For images in files, `file` comes first: the name of each, relative to their folder, in natural order
        (`img2` before `img10`). Of a table in time order, the columns before them say which series and time a
        prediction follows.

        Args:
            source: What `load` takes, with or without targets.
            folder: Folder with named sets.
            note: Receives what the user should know about these data, a sentence at a time.

        Raises:
            DataError: The data cannot be read, or the model is a language model, which predicts no row.
        """
        self.check_predicts()
        return self.answers_for(read_new(source, self.preparation, folder), note)

    @property
    def task(self) -> str:
        """The task that it was trained for, as in `Data.task`."""
        return self.record.problem["data"]["task"]

    @property
    def meaning(self) -> Any:
        """What the outputs mean, as in `Problem.outputs`."""
        # Folders of versions that took logits only do not say it.
        return self.record.problem.get("outputs", LOGITS)

    @property
    def calibration(self) -> Calibration | None:
        """The run's, if it has one for these weights: those that it selected."""
        own = self.weights == self.record.result.get("weights")
        return Calibration.of(self.record.result) if own else None

    def predict(
        self, source: Any, *, keep: Sequence[str] = (), folder: Path | str | None = None
    ) -> dict[str, np.ndarray]:
        """Return the columns of `answers`, with a number for each row and columns of the input beside them.

        Args:
            source: An array or a frame, a path, or the name of a set; with or without targets.
            keep: Columns of the table that are returned unchanged, such as an id.
            folder: Folder with named sets.

        Returns:
            `row`, the number of each row from 0, unless something else tells the rows apart (`file`, or
            series and time); the columns to keep; `prediction` and what belongs to it.

        Raises:
            DataError: The data cannot be read, or lack a column; or `keep` is given for data without columns.

        Example:
            >>> import thalweg as tw
            >>> trained = tw.restore("runs/titanic-1")  # doctest: +SKIP
            >>> trained.predict("new.csv", keep=["PassengerId"])  # doctest: +SKIP
        """
        check(DataError, "predict", {"keep": Sequence[str]}, {"keep": keep})
        self.check_predicts()
        new = read_new(source, self.preparation, folder)
        answers = self.answers_for(new)  # refuses what is no data
        return self.rows(new, keep) | answers

    def rows(self, new: NewData, keep: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Return the numbers of new rows, unless they have names, and the columns to keep.

        Raises:
            DataError: A column is not there, or the data have no columns of rows.
        """
        columns, frame = self.preparation.columns, new.raw
        if len(keep) and columns.kind != "table":
            rule = "columns to keep are for tables, whose rows are examples"
            raise DataError("predict", rule, got=f"data of kind {columns.kind}", hint="leave them out")
        numbered = new.files is None and columns.kind in ("table", "array", "image")
        numbers = {"row": np.arange(len(frame))} if numbered else {}
        found = [find_column(frame.columns, name, who="keep") for name in keep]
        kept = {name: _plain_column(frame[name]) for name in dict.fromkeys(found)}
        taken = sorted({"row", "prediction"} & set(kept))
        if taken:
            rule, hint = "must not have the name of a column of the predictions", "rename it in the table"
            raise DataError("keep", rule, got=taken[0], hint=hint)
        return numbers | kept

    def check_predicts(self) -> None:
        """Refuse a model that makes no prediction for an example.

        Raises:
            DataError: It is a language model, or was trained by an objective.
        """
        if self.task == LANGUAGE:
            got, hint = self.record.name, "the run's sample.txt shows what it writes"
            raise DataError("predict", "a language model makes no prediction for a row", got=got, hint=hint)
        reject_objective("predict", "objective" in self.record.problem)

    def outputs(self, inputs: Any) -> Any:
        """Return the model's outputs for input arrays as the columns of the preparation give them."""
        return outputs(self.built, self.preparation.scale(inputs))

    def answers_of(self, given: Any, offsets: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Turn outputs into columns for users."""
        return self.preparation.answers(given, self.task, self.meaning, offsets, self.calibration)

    def answers_for(self, new: NewData, note: Callable[[str], Any] | None = None) -> dict[str, np.ndarray]:
        """Return the columns of `answers` for data that were read."""
        examples = self.preparation.columns.examples(new.raw)
        for observation in examples.notes:
            if note is not None:
                note(observation.text)
        answers = examples.labels | self.answers_of(self.outputs(examples.inputs), examples.offsets)
        if new.files is None:
            return answers
        if len(new.files) != len(answers["prediction"]):
            rule, hint = "the folder must not change while it is read", "try again"
            raise DataError("predict", rule, got=f"{len(new.files)} files, then another number", hint=hint)
        return {"file": np.array(new.files), **answers}


@checked(BadInput)
def restore(
    folder: Path | str,
    *,
    weights: str | None = None,
    model: Any = None,
    unverified: bool = False,
    allow_import: bool = False,
) -> Trained:
    """Load a trained model from a run folder.

    Args:
        folder: The run folder.
        weights: `best` or `final`; None for those that the run selected.
        model: The module or factory, where the run trained a custom class.
        unverified: Whether to use a folder without checksums (run.json) nevertheless.
        allow_import: Whether to import a model of yours by the import path that the folder names. Importing a
            module executes it: only for folders that you trust.

    Raises:
        RunFolderError: There is no run, or it is damaged or unverified.
        ModelError: The run's model is not one of the library's, none was passed and it may not or cannot be
            imported; or its weights do not fit.
    """
    record, path = read(folder, unverified=unverified), Path(folder)
    which = _selected(record, path) if weights is None else weights
    if which not in ("best", "final"):
        raise BadInput(argument("weights"), "must be best or final", got=which, hint="try best")
    with allowing(allow_import):
        made = model if model is not None else _model(record)
    built = shapes_as_trained(made, record.recipe.get("seed", 0))
    arrays = files.load(path / f"{which}.safetensors", unverified)
    params = files.load_into(built.params, arrays)
    model_state = files.load_into(built.model_state, arrays, prefix=files.STATE)
    preparation = _preparation(record, path)
    return Trained(record, PartitionedModel(params, model_state, built.fixed), preparation, which)


def _preparation(record: Record, folder: Path) -> Preparation:
    """Return the preparation that problem.json holds.

    Raises:
        RunFolderError: It holds none, or a damaged one.
    """
    try:
        return Preparation.from_dict(record.problem["data"]["preparation"])
    except ThalwegError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        rule, hint = "must say how data are prepared", "problem.json is damaged: copy the folder again"
        got = f"{type(error).__name__}: {error}"[:200]
        raise RunFolderError("run", rule, got=got, where=folder / "problem.json", hint=hint) from error


def trained_of(run: Any) -> Trained:
    """Return a trained model from a run folder, a `Run`, or what `restore` gave.

    Raises:
        BadInput: It is none of these.
        RunFolderError: There is no run in the folder, or it is damaged.
    """
    if isinstance(run, Trained):
        return run
    # A run in memory comes from `run.run`, whose imports (recipes, optimizers) take as long to load as JAX
    # and are not needed to predict; where it is not loaded, there is none.
    runs = sys.modules.get("thalweg.run.run")
    if runs is not None and isinstance(run, runs.Run):
        fixed = fixed_as_trained(run.problem.model, run.recipe.seed)
        built = PartitionedModel(run.params, run.model_state, fixed)
        which = run.result.get("weights") or "final"
        return Trained(run.record, built, run.problem.data.preparation, which)
    if isinstance(run, (str, Path)):
        return restore(run)
    rule, hint = "must be a run folder, a run, or what restore gave", "for example 'runs/digits-1'"
    raise BadInput("run", rule, got=type(run).__name__, hint=hint)


def _plain_column(series: pl.Series) -> np.ndarray:
    """Return a column as an array: text and dates as objects, as they were read."""
    numeric = series.dtype.is_numeric() and not series.null_count()
    return series.to_numpy() if numeric else np.array([*series.to_list(), None], dtype=object)[:-1]


def _selected(record: Record, folder: Path) -> str:
    """Return which weights the run selected; what result.json says never names another file."""
    which = record.result.get("weights")
    if which is None:  # the run has not ended
        return "best" if files_of(folder).is_there(folder / "best.safetensors") else "final"
    if which not in ("best", "final"):
        rule, hint = "result.json must name weights of the run: best or final", "restore a copy"
        raise RunFolderError("run", rule, got=which, where=folder / "result.json", hint=hint)
    return which


def _model(record: Record) -> Any:
    architecture = record.problem.get("model", {}).get("architecture")
    path = record.problem.get("model", {}).get("import")
    if architecture is None and path is not None:
        return from_record(path, ModelError, "model", record.folder)
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
