"""`thalweg doctor`: why a run, or a recipe on some data, fails; and the repair."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED
from thalweg.doors.cli.arguments import load_options, recipe_request
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import print_json, print_text, write_file
from thalweg.insight.doctor.diagnose import diagnose, diagnosed
from thalweg.insight.doctor.diagnosis import Diagnosis
from thalweg.insight.fit import read_problem
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.claim import claim, reject_taken
from thalweg.run.folder.describe import environment
from thalweg.run.folder.folder import RUN_FILE, RunFile
from thalweg.run.progress import listener
from thalweg.run.restore import Trained, restore
from thalweg.run.spec import RunSpec
from thalweg.view import progress as showing
from thalweg.view.doctor import page
from thalweg.view.doctor.text import show
from thalweg.view.terminal import say

FILE, PAGE, RECIPE = "diagnosis.json", "diagnosis.html", "recipe.toml"


def doctor(options: Options) -> int:
    """Diagnose; return the exit code."""
    use_device(options["device"])
    reject_taken(options["out"], options["force"])
    problem, recipe = _subject(options)
    progress = showing.progress(quiet=options["quiet"])
    finished = _finished(options, problem)
    if finished is None:
        diagnosis = diagnose(
            problem, recipe, budget=options["budget"], quick=options["quick"], progress=progress
        )
    else:
        diagnosis = diagnosed(problem, recipe, 0.0, 3, True, listener(progress), finished)
    content = diagnosis.to_dict()
    folder, command = None, None
    if not diagnosis.healthy:
        with claim(options["out"], f"{problem.data.name}-doctor", options["force"]) as folder:
            command = _command(options, diagnosis, folder)
            content = _write(diagnosis, folder, command)
    if options["json"]:
        print_json(content)
    elif not options["quiet"]:
        print_text(show(diagnosis))
        if folder is not None:
            say(f"\npage   {folder / PAGE}" + (f"\nrepair {command}" if command else ""))
    return EXIT_DONE if diagnosis.verdict != "unhealthy" else EXIT_FAILED


def _subject(options: Options) -> tuple[Problem, Recipe]:
    """Return the problem and the recipe of a run folder, or of data and options."""
    folder = _run_folder(options)
    if folder is not None:
        spec = RunSpec.from_dict(RunFile.read(folder).origin, folder / RUN_FILE)
        return spec.rebuild_problem(), spec.recipes[0]
    request = recipe_request(options, allow_auto=False)
    problem = read_problem(options["data"], options["model"], **load_options(options))
    return problem, request.for_data(problem.data)


def _finished(options: Options, problem: Problem) -> Trained | None:
    """Return what the run gave, where nothing else is trained; None where there is no run, or no weights."""
    folder = _run_folder(options)
    if folder is None or not (options["quick"] or options["budget"] == 0):
        return None
    try:
        return restore(folder, model=problem.model)
    except RunFolderError:  # one that was stopped before it had any
        return None


def _command(options: Options, diagnosis: Diagnosis, folder: Path) -> str | None:
    """Return the command that trains the repair, as far as the command line can say it."""
    if diagnosis.repaired is None:
        return None
    problem = diagnosis.repaired[0]
    source, read = _source(options)
    words = ["thalweg fit", source, "--recipe", shlex.quote(str(folder / RECIPE))]
    if isinstance(problem.model, Architecture):
        words += ["--model", problem.model_spec]
    for name, value in read.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(value))]
    return " ".join(words)


def _source(options: Options) -> tuple[str, Mapping[str, Any]]:
    """Return the data as the command line takes them, and the options that they are read with."""
    folder = _run_folder(options)
    if folder is None:
        return _words(options["data"]), load_options(options)
    source: Mapping[str, Any] = RunFile.read(folder).origin["problem"].get("source") or {}
    return _words(source.get("from", "DATA")), source.get("options") or {}


def _words(source: str | list[str]) -> str:
    """Return a source as the command line takes it."""
    return shlex.join([source] if isinstance(source, str) else source)


def _run_folder(options: Options) -> Path | None:
    """Return the run folder that the options name; None if they name data."""
    folder = Path(options["data"]) if isinstance(options["data"], str) else None
    return folder if folder is not None and (folder / RUN_FILE).is_file() else None


def _write(diagnosis: Diagnosis, folder: Path, command: str | None) -> dict[str, Any]:
    """Write the folder of a diagnosis; return the content of diagnosis.json."""
    content = diagnosis.to_dict()
    if diagnosis.repaired is not None:
        write_file(folder / RECIPE, toml.write(diagnosis.repaired[1]))
        content["repair"]["recipe"] = str(folder / RECIPE)
    write_file(folder / FILE, json.dumps(content, indent=1) + "\n")
    about = {"command": command, "run": folder, "environment": environment()}
    write_file(folder / PAGE, page.render(diagnosis, about))
    return content
