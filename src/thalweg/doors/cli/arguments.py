"""Options of the command line as arguments of the library.

Commands receive their options as a dictionary, by name. An option about reading data is named like its
field of `LoadOptions` and needs no code here.
"""

from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, RecipeError
from thalweg.doors.cli.device import Options
from thalweg.doors.trackers import parse
from thalweg.insight.fit import AUTO, RecipeRequest
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.targets import BALANCED
from thalweg.run.cluster.executors import executor
from thalweg.run.folder.pretrained import Pretrained
from thalweg.run.spec import SaveOptions
from thalweg.run.tracking import Tracker


def load_options(options: Options) -> dict[str, Any]:
    """Return the keyword arguments of `load`."""
    names = [field.name for field in fields(LoadOptions) if field.name in options]
    settings = {name: options[name] for name in names if options[name] is not None}
    test = options["test"]
    if test is not None and not _is_number(test) and not Path(test).exists():
        raise DataError(
            "--test", "must be a fraction or a file that exists", got=test, hint="for example --test 0.2"
        )
    return settings


def judging(options: Options) -> dict[str, Any]:
    """Return how outputs are judged: the loss, the metrics and the weights of the classes."""
    weights = options["class_weight"] or None
    balanced = weights is not None and list(weights) == [BALANCED]
    return {
        "loss": options["loss"],
        "metric": options["metric"] or None,
        "class_weight": BALANCED if balanced else weights,
    }


def recipe_request(options: Options, *, allow_auto: bool = True) -> RecipeRequest:
    """Return the recipe that the options request; mistakes in it raise an error before data are read."""
    settings = tuple(options["set_"] or ())
    lengths = options["epochs"], options["steps"]
    return RecipeRequest(
        options["recipe"], settings, options["lr"], *lengths, options["seed"], allow_auto=allow_auto
    )


def initial(options: Options) -> Path | Pretrained | None:
    """Return the weights to start from, with the names that their file has."""
    names = options["init_names"]
    if names is None:
        return options["init"]
    if options["init"] is None:
        rule, hint = "are names in a file of weights", "name the file, too: --init FILE"
        raise RecipeError("--init-names", rule, got="no --init", hint=hint)
    return Pretrained(options["init"], names)


def save_options(options: Options) -> SaveOptions:
    """Return where and how often the run is saved."""
    return SaveOptions(options["out"], options["force"], options["checkpoint_every"])


def trackers(options: Options) -> list[Tracker]:
    """Return the trackers of `--track`.

    Raises:
        RecipeError: There is no such tracker.
        MissingExtra: A tracker's package is not installed.
    """
    return [parse(text) for text in options["track"] or ()]


def resumes(options: Options) -> bool:
    """Return whether to continue the run in `--out`.

    Raises:
        RecipeError: `--resume` is not `auto`.
    """
    if options["resume"] not in (None, AUTO):
        hint = "or: thalweg resume RUN"
        raise RecipeError("--resume", "must be auto", got=options["resume"], hint=hint)
    return options["resume"] is not None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def workers(options: Options) -> AbstractContextManager[Executor | None]:
    """Return the workers that the option names, to be entered; None where it names none."""
    return nullcontext() if options["on"] is None else executor(options["on"])
