"""`thalweg race`: which optimizer, or which model, is best on the data; the verdict in its own folder."""

import json

from thalweg.core.stop_reason import EXIT_DONE, EXIT_INTERRUPTED
from thalweg.doors.cli.arguments import judging, load_options, recipe_request
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import print_json, print_text, write_file
from thalweg.doors.cli.sweep import models_of
from thalweg.insight.ensembles import single_network_note
from thalweg.insight.fit import read_problem
from thalweg.insight.race.race import race as run_race
from thalweg.recipe import toml
from thalweg.run.folder.claim import claim, reject_taken
from thalweg.run.folder.describe import environment
from thalweg.run.folder.filesystem import plain
from thalweg.view import progress as showing
from thalweg.view.race import page
from thalweg.view.race.text import show
from thalweg.view.terminal import say

FILE, PAGE, RECIPE = "race.json", "race.html", "recipe.toml"


def race(options: Options) -> int:
    """Race, write the folder, print the verdict; return the exit code."""
    use_device(options["device"])
    reject_taken(options["out"], options["force"])
    request = recipe_request(options, allow_auto=False)
    problem = read_problem(options["data"], options["model"], **judging(options), **load_options(options))
    models = None if options["models"] is None else models_of(options["models"], "--models")
    progress = showing.progress(quiet=options["quiet"])
    for note in problem.data.notes:
        progress.note(note.text)
    if (single := single_network_note(problem.data, options["models"] or options["model"])) is not None:
        progress.note(single)
    result = run_race(
        problem,
        request.for_data(problem.data),
        optimizers=options["optimizers"],
        models=models,
        budget=options["budget"],
        fast=options["fast"],
        progress=progress,
    )
    about = {"environment": environment()}
    with claim(options["out"], f"{problem.data.name}-race", options["force"]) as folder:
        write_file(folder / FILE, json.dumps(plain(result.to_dict() | about), indent=1) + "\n")
        write_file(folder / PAGE, page.render(result, about | {"run": folder}))
        best = result.ranked[0].recipe
        if best is not None:
            write_file(folder / RECIPE, toml.write(best))
    if options["json"]:
        print_json(result.to_dict() | {"run": str(folder)})
    elif not options["quiet"]:
        print_text(show(result))
        say(f"\npage   {folder / PAGE}\nrecipe {folder / RECIPE} (of the first in the table)")
    return EXIT_INTERRUPTED if result.interrupted else EXIT_DONE
