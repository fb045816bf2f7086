"""Options of the command line as arguments of the library.

Commands receive their options as a dictionary, by name. An option about reading data is named like its
field of `LoadOptions` and needs no code here.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax

from thalweg.core.errors import BadInput, DataError, RecipeError
from thalweg.insight.fit import AUTO, RecipeRequest
from thalweg.problem.data.options import LoadOptions
from thalweg.run.spec import SaveOptions

Options = Mapping[str, Any]


def use_device(device: Any) -> None:
    """Compute on `cpu` or `gpu`; None leaves the choice to JAX. Call it before JAX starts its backend.

    Raises:
        BadInput: There is no such device.
    """
    if device is None:
        return
    jax.config.update("jax_platforms", "cpu" if str(device) == "cpu" else None)
    platforms = sorted({known.platform for known in jax.devices()})
    if str(device) not in platforms:
        raise BadInput(
            "--device",
            "must name a device that JAX finds on this machine",
            got=str(device),
            where=f"found: {', '.join(platforms)}",
            hint="leave --device out; for NVIDIA cards install thalweg[cuda]",
        )


def load_options(options: Options) -> dict[str, Any]:
    """Return the keyword arguments of `load`."""
    names = [field.name for field in fields(LoadOptions) if field.name in options]
    settings = {name: options[name] for name in names if options[name] is not None}
    target = options["target"]
    if target is not None and target.isdigit():
        settings["target"] = int(target)
    test = options["test"]
    if test is not None and not _is_number(test) and not Path(test).exists():
        raise DataError(
            "--test", "must be a fraction or a file that exists", got=test, hint="for example --test 0.2"
        )
    return settings


def recipe_request(options: Options, *, allow_auto: bool = True) -> RecipeRequest:
    """Return the recipe that the options request; mistakes in it raise an error before data are read."""
    settings = tuple(options["set_"] or ())
    lengths = options["epochs"], options["steps"]
    return RecipeRequest(
        options["recipe"], settings, options["lr"], *lengths, options["seed"], allow_auto=allow_auto
    )


def save_options(options: Options) -> SaveOptions:
    """Return where and how often the run is saved."""
    return SaveOptions(options["out"], options["force"], options["checkpoint_every"])


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
