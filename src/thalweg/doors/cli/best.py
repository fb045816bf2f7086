"""`thalweg best`: the best network that a budget can buy; its run, and what was tried, in one folder."""

import inspect
import shlex
from pathlib import Path
from typing import Any

from thalweg.core.stop_reason import EXIT_INTERRUPTED
from thalweg.doors.cli.arguments import judging, load_options, resumes, save_options
from thalweg.doors.cli.commands.training import fit
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import exit_code, print_json, print_text, write_file, write_report
from thalweg.doors.cli.sweep import models_of
from thalweg.insight.best.allowance import Allowance
from thalweg.insight.best.best import best as find_best
from thalweg.insight.best.result import Best
from thalweg.recipe import toml
from thalweg.view import progress as showing
from thalweg.view.best import show
from thalweg.view.terminal import say

RECIPE = "best.toml"
# Options of fit that the winner replaces, or that say nothing about it.
REPLACED = {
    *(
        "data",
        "model",
        "recipe",
        "set_",
        "lr",
        "epochs",
        "steps",
        "seed",
        "ensemble",
        "out",
        "force",
        "resume",
    ),
    *("quiet", "json", "allow_import"),
}


def best(options: Options) -> int:
    """Search, train the winner, print what was tried; return the exit code."""
    use_device(options["device"])
    models = () if options["models"] is None else models_of(options["models"], "--models")
    found = find_best(
        options["data"],
        options["model"],
        options["recipe"],
        budget=Allowance.parse(options["budget"], options["began"]),
        optimizers=options["optimizers"],
        models=models,
        settings=options["set_"] or (),
        **{name: options[name] for name in ("seed", "ensemble", "cost", "references")},
        by=options["by"] or (),
        **judging(options),
        keep=save_options(options),
        resume=resumes(options),
        progress=showing.progress(quiet=options["quiet"]),
        **load_options(options),
    )
    command, report = None, None
    if found.run is not None:
        folder = Path(found.run.folder or ".")
        write_file(folder / RECIPE, toml.write(found.recipe))
        command = _command(options, found, folder / RECIPE)
        report = write_report(found.run.record)
    if options["json"]:
        print_json(found.to_dict() | {"command": command})
    elif not options["quiet"]:
        print_text(show(found))
        if found.run is not None:
            score = found.run.result.get("test_metric") or {}
            if score.get("value") is not None:
                say(f"\ntest    {score['name']} {score['value']:.4g}")
            say(f"run     {found.run.folder}\nreport  {report}\nrepeat  {command}")
    return EXIT_INTERRUPTED if found.run is None else exit_code(found.run)


def _command(options: Options, found: Best, recipe: Path) -> str:
    """Return the command that trains the winner again: the options that were given, and its own."""
    source = options["data"]
    words = ["thalweg", "fit", *([source] if isinstance(source, str) else source)]
    for name, parameter in inspect.signature(fit).parameters.items():
        value = options.get(name)
        if name not in REPLACED and value is not None and value != parameter.default:
            words += _flag(name.replace("_", "-"), value)
    words += ["--model", found.model, "--recipe", str(recipe)]
    return shlex.join(words + ([] if found.ensemble is None else ["--ensemble", str(found.ensemble)]))


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, (list, tuple)):
        return [word for each in value for word in (f"--{name}", str(each))]
    return [f"--{name}", str(getattr(value, "value", value))]
