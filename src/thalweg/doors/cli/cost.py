"""`thalweg cost`: operations, memory and time of a run before it runs, and a recipe that fits into less."""

from dataclasses import replace
from typing import Any

from thalweg.core.errors import BadInput, RecipeError
from thalweg.core.limits import bytes_of
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.arguments import load_options
from thalweg.doors.cli.device import Options
from thalweg.doors.cli.find import read_sizes
from thalweg.doors.cli.json_output import print_json
from thalweg.insight.cost.cost import Cost
from thalweg.insight.cost.cost import cost as cost_of
from thalweg.insight.cost.devices import device_named
from thalweg.insight.cost.fitting import Fitting, fit_in
from thalweg.insight.fit import AUTO, RecipeRequest, read_problem
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.view import cost as shown
from thalweg.view.terminal import say


def cost(options: Options) -> int:
    """Print the cost of a run; return the exit code."""
    device_named(options["device"])  # refused before the data are read
    budget, sizes = _budget(options["fit_in"]), read_sizes(options["batch"])
    lengths = options["epochs"], options["steps"]
    request = RecipeRequest(
        options["recipe"], tuple(options["set_"] or ()), None, *lengths, options["seed"], allow_auto=False
    )
    # What `fit` would train with the same options.
    ensemble = AUTO if options["model"] is None and options["recipe"] is None else None
    problem = read_problem(options["data"], options["model"], ensemble=ensemble, **load_options(options))
    recipe = request.for_data(problem.data, problem.model)
    own = cost_of(problem, recipe, device=options["device"], measure=True if options["measure"] else None)
    rows = [] if sizes is None else [_of_size(problem, recipe, size, options["device"]) for size in sizes]
    fitting = None if budget is None else fit_in(problem, recipe, budget)
    if options["json"]:
        print_json(_content(own, rows, fitting))
    else:
        say(shown.text(own))
        if rows:
            say("\n" + shown.batches(rows))
        if fitting is not None:
            say("\n" + shown.fitting(fitting))
    return EXIT_DONE


def _of_size(problem: Problem, recipe: Recipe, size: int, device: str) -> Cost:
    if recipe.accumulate > size:
        raise RecipeError("--batch", "a microbatch needs an example", got=size, hint="use larger batches")
    return cost_of(problem, replace(recipe, batch_size=size), device=device)


def _budget(text: str | None) -> int | None:
    if text is None:
        return None
    budget = bytes_of(text)
    if budget < 1:
        raise BadInput(
            "--fit-in", "must be a number of bytes above 0", got=text, hint="for example 2GB or 512MiB"
        )
    return budget


def _content(own: Cost, rows: list[Cost], fitting: Fitting | None) -> dict[str, Any]:
    content = own.to_dict()
    if rows:
        content["batches"] = [row.to_dict() for row in rows]
    if fitting is not None:
        content["fit_in"] = fitting.to_dict()
    return content
