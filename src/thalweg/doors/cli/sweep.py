"""`thalweg sweep`: ranges from the command line become recipes, their runs a ranked table."""

from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.arguments import (
    initial,
    judging,
    load_options,
    recipe_request,
    resumes,
    save_options,
    trackers,
    workers,
)
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import finish, print_json
from thalweg.doors.cli.watch import watching
from thalweg.engine.group import lane_bytes
from thalweg.engine.mesh import Devices
from thalweg.engine.plan import LanePlan
from thalweg.insight.cost.cost import cost as predicted_cost
from thalweg.insight.ensembles import single_network_note
from thalweg.insight.fit import restart_options
from thalweg.insight.wording import plural
from thalweg.problem.data.load import load
from thalweg.problem.models import ALIASES, ARCHITECTURES, parse
from thalweg.problem.problem import Problem
from thalweg.recipe import ranges, vary
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import check_recipe, is_resumable, resume
from thalweg.run.spec import Halving
from thalweg.run.train import plan as plan_lanes
from thalweg.run.train_models import train_models
from thalweg.view import progress as showing
from thalweg.view.cost import amount
from thalweg.view.terminal import say

MODEL, SEED = "model", "seed"
_EXAMPLE = "for example --vary optimizer.lr=1e-4..1e-1:16log"


def sweep(options: Options) -> int:
    """Train every lane, or print the plan; return the exit code."""
    use_device(options["device"])
    request = recipe_request(options, allow_auto=False)
    varied = _varied(options["vary"])
    varied_models = varied.pop(MODEL, None)
    problems = _problems(options, varied_models)
    recipes = _recipes(options, problems, request.for_data(problems[0].data), varied)
    if options["plan"]:
        return _plan(options, problems, recipes)
    progress = showing.progress(quiet=options["quiet"])
    for note in problems[0].data.notes:
        progress.note(note.text)
    given = options["model"] or varied_models
    if (single := single_network_note(problems[0].data, given)) is not None:
        progress.note(single)
    save, folder = save_options(options), options["out"]
    if resumes(options):
        _check_resumable(problems)
        save = restart_options(save)
        if is_resumable(folder):
            check_recipe(folder, *recipes)
            with watching(options), workers(options) as executor:
                problem = problems[0] if executor is None else None  # workers rebuild it
                more = {"allow_import": options["allow_import"], "executor": executor}
                more |= {name: options[name] for name in ("devices", "data_on")}
                runs = resume(folder, problem, progress=progress, trackers=trackers(options), **more)
            return finish(runs, options["json"], options["quiet"])
    with watching(options), workers(options) as executor:
        runs = train_models(
            problems,
            recipes,
            keep=save,
            init=initial(options),
            progress=progress,
            trackers=trackers(options),
            strict=options["strict"],
            halving=Halving() if options["halving"] else None,
            executor=executor,
            devices=options["devices"],
            data_on=options["data_on"],
        )
    return finish(runs, options["json"], options["quiet"])


def _check_resumable(problems: list[Problem]) -> None:
    if len(problems) > 1:
        raise RecipeError(
            "--resume",
            "continues a sweep of one model",
            got=", ".join(problem.model_spec for problem in problems),
            hint="thalweg resume RUN/model-0 continues the sweep of the first of several",
        )


def _plan(options: Options, problems: list[Problem], recipes: list[Recipe]) -> int:
    devices = None if options["devices"] is None else Devices.parse(options["devices"], many=True)
    more = {"strict": options["strict"], "units": options["on"] is not None, "devices": devices}
    plans = [plan_lanes(problem, recipes, **more) for problem in problems]
    if options["json"]:
        print_json({"plans": [plan.to_dict() for plan in plans]})
        return EXIT_DONE
    for problem, plan in zip(problems, plans, strict=True):
        if len(problems) > 1:
            say(f"model {problem.model_spec}")
        say(plan.text() if options["on"] is None else _units(plan, problem, recipes))
    return EXIT_DONE


def _units(plan: LanePlan, problem: Problem, recipes: list[Recipe]) -> str:
    """Describe the units of work that workers share."""
    most = max(len(shard.lanes) for shard in plan.shards)
    mebibytes = max(shard.width * plan.bytes[shard.group] for shard in plan.shards) / 2**20
    return (
        f"{plural(len(recipes), 'lane')} in {plural(len(plan.groups), 'group')}, "
        f"{plural(len(plan.shards), 'unit')} of work for any number of workers, one at a time in each\n"
        f"a unit has up to {plural(most, 'lane')}, whose state takes up to {mebibytes:.1f} MiB\n"
        f"predicted for all lanes one after another: {_work(problem, recipes[0], len(recipes))}\n"
        + "\n".join(plan.reasons)
    )


def _varied(texts: list[str]) -> dict[str, str]:
    """Return what each setting of `--vary` ranges over, as text."""
    varied: dict[str, str] = {}
    for text in texts:
        path, equals, values = (word.strip() for word in text.partition("="))
        if not equals or not path:
            raise RecipeError("--vary", "must be PATH=RANGE", got=text, hint=_EXAMPLE)
        if path in varied:
            raise RecipeError(
                "--vary",
                "each setting may be given only once",
                got=text,
                hint="put all its values in one range",
            )
        varied[path] = values
    return varied


def _problems(options: Options, models: str | None) -> list[Problem]:
    """Return a problem for each model, all on the same data."""
    if models is not None and options["model"]:
        raise RecipeError(
            "--vary",
            "model cannot vary and be set by --model",
            got=options["model"],
            hint="leave one out",
        )
    specs = models_of(models, "--vary: model") if models is not None else [options["model"]]
    architectures = [parse(spec) if spec else None for spec in specs]
    data = load(options["data"], **load_options(options))
    return [Problem(architecture, data, **judging(options)) for architecture in architectures]


def models_of(text: str, who: str) -> list[str]:
    """Split `mlp:32,mlp:256,256` where a new model starts: commas also separate a model's own settings."""
    known: set[str] = {*ARCHITECTURES, *ALIASES}
    specs: list[str] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        if ":" in word or word in known or not specs:
            specs.append(word)
        else:
            specs[-1] += f",{word}"
    if not specs or len(set(specs)) < len(specs):
        raise RecipeError(who, "must name models that differ", got=text, hint="for example mlp:32,mlp:512")
    return specs


def _recipes(options: Options, problems: list[Problem], base: Recipe, varied: dict[str, str]) -> list[Recipe]:
    """Return the recipe of every lane."""
    if options["seed"] is not None and SEED in varied:
        raise RecipeError(
            "--vary", "seed cannot vary and be set by --seed", got=varied[SEED], hint="leave one out"
        )
    if not varied:
        if len(problems) > 1 and options["sample"] is None:
            return [base]
        raise RecipeError("--vary", "at least one setting must vary", hint=_EXAMPLE)
    if options["sample"] is not None:
        return _sampled(options["sample"], base, varied)
    columns = vary.read_columns(base, varied)
    lanes = vary.combinations(columns) * len(problems)
    if lanes > vary.MOST_LANES:
        vary.reject_too_many(lanes, _cost(problems[0], base, lanes))
    return vary.product(base, columns)


def _sampled(count: int, base: Recipe, varied: dict[str, str]) -> list[Recipe]:
    """Draw points, and give each of them every seed: seeds are not searched."""
    space = {path: values for path, values in varied.items() if path != SEED}
    seeds = ranges.read_values(varied[SEED], True, "--vary seed") if SEED in varied else [base.seed]
    vary.reject_too_many(count * len(seeds))
    points = vary.sample(base, count, space, key=base.seed)
    return [lane for recipe in points for lane in recipe.vary(seed=seeds)]


def _cost(problem: Problem, recipe: Recipe, lanes: int) -> str:
    """Return what `lanes` lanes would take, from the rates of this machine if they are known."""
    memory = f"{lane_bytes(problem, recipe) * lanes / 2**30:,.0f} GiB if held at once"
    return f"predicted: {_work(problem, recipe, lanes)}, and {memory}"


def _work(problem: Problem, recipe: Recipe, lanes: int) -> str:
    one = predicted_cost(problem, recipe, measure=False)
    if one.step_seconds is None:
        return f"{amount(one.step * one.steps * lanes)} operations"
    return plural(float(f"{one.step_seconds * one.steps * lanes / 3600:.2g}"), "hour")
