"""`fit`: read data, choose a recipe, find the learning rate on request, and train.

`thalweg fit` is this function with the command line's options; other front ends may call it.
`train` does less: it takes a finished problem and a finished recipe.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thalweg.core.arguments import check_fields, checked
from thalweg.core.caller import argument, option
from thalweg.core.device import leads
from thalweg.core.errors import BadInput, DataError, ModelError, RecipeError, ThalwegError
from thalweg.engine.mesh import Devices
from thalweg.insight.cost.fitting import reject_larger_than_memory
from thalweg.insight.doctor.notice import noticed
from thalweg.insight.ensembles import members_by_default, single_network_note, with_members
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.finding_io import as_dict, current
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.insight.finder.verdict import headline, in_a_line
from thalweg.insight.judging import asked_of, judged
from thalweg.problem.data.data import Data
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.load import load
from thalweg.problem.losses import as_loss, as_metric
from thalweg.problem.models import Tabular, parse
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.book import default_recipe, tabular_recipe
from thalweg.recipe.recipe import Recipe, rate_path, with_rate
from thalweg.recipe.settings import with_setting
from thalweg.run.folder.claim import reject_taken
from thalweg.run.folder.pretrained import Pretrained
from thalweg.run.folder.record import finding_of
from thalweg.run.progress import Progress, Status, listener
from thalweg.run.resume import check_recipe, is_resumable, resume_judged
from thalweg.run.run import Run, Runs
from thalweg.run.spec import SaveOptions
from thalweg.run.tracking import Tracker
from thalweg.run.train import train_judged

AUTO = "auto"
# Updates that the search for a learning rate may cost, as a share of the run's own: six minutes for an hour
# of training.
SEARCH_SHARE = 0.1


class NoLearningRate(ThalwegError):
    """The search found no learning rate that trains; nothing was trained.

    Attributes:
        finding: The lanes and the outcome of the search.
    """

    def __init__(self, finding: LearningRateFinding):
        super().__init__(
            "lr", "no rate trains, so nothing was trained", got=headline(finding), hint=finding.reason
        )
        self.finding = finding


@dataclass(frozen=True)
class RecipeRequest:
    """A recipe as the user specifies it, before the data are known. Mistakes raise an error at construction.

    Args:
        recipe: A recipe, the name of one, or a TOML file; None for the default of the data.
        settings: Changes to it, each `PATH=VALUE`, such as `optimizer.lr=3e-4`.
        lr: The learning rate, a number or its text; `auto` finds it before training.
        epochs, steps, seed: Replace the recipe's own.
        allow_auto: Whether `auto` is possible.

    Raises:
        RecipeError: A setting is given twice, the name is unknown, or a number cannot be read.
    """

    recipe: Recipe | Path | str | None = None
    settings: Sequence[str] = ()
    lr: float | str | None = None
    epochs: int | None = None
    steps: int | None = None
    seed: int | None = None
    allow_auto: bool = True

    def __post_init__(self) -> None:
        check_fields(RecipeError, "fit", self)
        self._check_rate()
        if self.epochs is not None and self.steps is not None:
            got = f"{option('epochs', self.epochs)} {option('steps', self.steps)}"
            raise RecipeError("recipe", "takes epochs or steps, not both", got=got, hint="leave one out")
        if isinstance(self.recipe, (str, Path)):
            object.__setattr__(self, "recipe", toml.named_or_file(str(self.recipe)))

    @property
    def finds_rate(self) -> bool:
        """Whether the learning rate is searched for first."""
        return self.lr == AUTO

    def for_data(self, data: Data, model: Any = None) -> Recipe:
        """Return the recipe with every change, for these data and the model.

        Raises:
            RecipeError: A setting does not exist, or its value is out of range.
        """
        rule = tabular_recipe if isinstance(model, Tabular) else default_recipe
        base = self.recipe or rule(data.task, data.train.count())
        assert isinstance(base, Recipe)
        settings = base.to_dict()
        if self.epochs is not None or self.steps is not None:
            settings |= {"epochs": self.epochs, "steps": self.steps}
        if self.seed is not None:
            settings["seed"] = self.seed
        changed = Recipe.from_dict(toml.settings(settings, self.settings), where="the recipe's settings")
        if self.lr is None or self.finds_rate:
            return changed
        settings = with_setting(changed.to_dict(), rate_path(changed), float(self.lr))
        return Recipe.from_dict(settings, where="lr")

    def _check_rate(self) -> None:
        if self.lr is None:
            return
        if self.finds_rate:
            if not self.allow_auto:
                rule, hint = "auto is only for thalweg fit", f"leave {argument('lr')} out, or give a rate"
                raise RecipeError(argument("lr"), rule, got=self.lr, hint=hint)
            return
        rates = [text for text in self.settings if re.match(r"\s*optimizer\.(\w+\.)*lr\s*=", text)]
        if rates:
            got = f"{option('lr', self.lr)} {option('settings', [rates[-1]])}"
            hint = f"leave one out, for example {argument('lr')}"
            raise RecipeError(argument("lr"), "the rate must be given only once", got=got, hint=hint)
        try:
            float(self.lr)
        except ValueError:
            hint = "for example 3e-4"
            raise RecipeError(argument("lr"), "must be a number, or auto", got=self.lr, hint=hint) from None


def read_problem(
    source: Any,
    model: Any = None,
    *,
    loss: Any = None,
    metric: Any = None,
    class_weight: Any = None,
    ensemble: int | str | None = None,
    **load_options: Any,
) -> Problem:
    """Return the problem of a data source and a model.

    Args:
        source: What `load` takes, or `Data` that have been loaded.
        model: A model specification (`mlp:512`), an architecture, a module or its factory; None for the
            default of the data.
        loss, metric, class_weight: As for `Problem`.
        ensemble: Number of networks, as for `fit`; `auto` for the default of the data, None for one.
        **load_options: As for `load`.

    Raises:
        DataError: The data cannot be read, or options are given for data already loaded.
    """
    if isinstance(source, Data) and load_options:
        got, hint = ", ".join(load_options), "pass them to load"
        raise DataError("fit", "options of load do not apply to data already loaded", got=got, hint=hint)
    # What cannot be is refused before the data are read.
    architecture = parse(model) if isinstance(model, str) else model
    loss = as_loss(loss) if isinstance(loss, str) else loss
    if not isinstance(source, Data):
        for each in metric if isinstance(metric, (list, tuple)) else (metric,):
            if isinstance(each, str):
                as_metric(each)
        source = load(source, **load_options)
    if ensemble == AUTO:
        ensemble = members_by_default(source)
    if ensemble is not None:
        architecture, source = with_members(architecture, source, int(ensemble), loss)
    return Problem(architecture, source, loss=loss, metric=metric, class_weight=class_weight)


@checked(BadInput)
def fit(
    source: Any,
    model: Any = None,
    recipe: Recipe | Path | str | None = None,
    *,
    settings: Sequence[str] = (),
    lr: float | str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int | None = None,
    loss: Any = None,
    metric: Any = None,
    class_weight: Any = None,
    ensemble: int | None = None,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | Pretrained | None = None,
    resume: bool = False,
    references: bool = True,
    cost: Any = None,
    by: Sequence[str] = (),
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
    **load_options: Any,
) -> Run | Runs:
    """Train a network on a data source, from reading the data to the finished run.

    Args:
        source: What `load` takes (a named set, a path, a frame, arrays), or `Data` that have been loaded.
        model: As for `read_problem`.
        recipe, settings, lr, epochs, steps, seed: As for `RecipeRequest`.
        loss, metric, class_weight: As for `Problem`.
        ensemble: Number of networks that are trained side by side and averaged, as one model (`tw.Tabular`),
            for tables and plain arrays. Below 2,000 rows each leaves a fold out, so that all rows train and
            validate. None: 8 for a table of up to 10,000 rows without a model, recipe, init, folds or loss
            function of your own; else one network.
        keep: Where to write the run: a folder, `SaveOptions`, or None for memory only.
        init: A run folder, safetensors file or PyTorch `state_dict` with weights to start from; a
            `Pretrained` where its names differ.
        resume: Continue the run in the folder of `keep` if there is one, else start it.
        references: Whether to compare the run with a linear model, nearest neighbours and boosted trees on
            the same rows, in at most a fifth of its time or half a second (`insight.rivals`).
        cost: What a false positive and a false negative cost, as `{"fp": 1, "fn": 5}` or `"fp=1,fn=5"`, for
            the threshold that costs least.
        by: Columns of a table by whose groups the test rows are judged, too.
        progress, trackers, devices, data_on: As for `train`.
        **load_options: As for `load`.

    Returns:
        The run; with `folds` the runs, one on each fold.

    Raises:
        BadInput: Data, model, recipe or folder cannot be used; nothing has been trained or written.
        NoLearningRate: With `lr="auto"`, no rate that trains was found.

    Example:
        >>> import thalweg as tw
        >>> run = tw.fit("digits", "mlp:64", lr=3e-3, epochs=5)
        >>> run.result["stopped"]
        'epochs'
    """
    request = RecipeRequest(recipe, settings, lr, epochs, steps, seed)
    if ensemble is not None and ensemble < 1:
        hint = f"for example {option('ensemble', 8)}"
        raise ModelError(argument("ensemble"), "must be at least 1", got=ensemble, hint=hint)
    # A recipe, weights or a loss of the user's own were made for a network that the user has in mind.
    plain = model is None and recipe is None and init is None and isinstance(loss, str | None)
    members = AUTO if ensemble is None and plain else ensemble
    how = {"loss": loss, "metric": metric, "class_weight": class_weight, "ensemble": members}
    problem = read_problem(source, model, **how, **load_options)
    asked = asked_of(problem, references, cost, by)
    base = request.for_data(problem.data, problem.model)
    progress = listener(progress)
    for note in problem.data.notes:
        progress.note(note.text)
    if isinstance(problem.data, FoldedData) and (single := single_network_note(problem.data, model)):
        progress.note(single)
    finding = noticed(problem, base)
    if finding is not None:
        progress.note(finding)
    save = keep if isinstance(keep, SaveOptions) or keep is None else SaveOptions(keep)
    if resume:
        folder = _resumable(save)
        if is_resumable(folder):
            check_recipe(folder, _recipe_to_resume(folder, base) if request.finds_rate else base)
            more = {"progress": progress, "trackers": trackers, "devices": devices, "data_on": data_on}
            return resume_judged(folder, problem, judged, **more)
        save = restart_options(save)
    if request.finds_rate:
        save, base = _with_searched_rate(problem, base, save, progress)
    reject_larger_than_memory(problem, base)
    judge = judged if leads() and not isinstance(problem.data, FoldedData) else None
    more = {"progress": progress, "trackers": trackers, "devices": devices, "data_on": data_on}
    return train_judged(problem, base, judge, asked, keep=save, init=init, **more)


def restart_options(save: SaveOptions | None) -> SaveOptions:
    """Return the options for starting in a folder that may hold files of a killed start.

    Raises:
        RecipeError: No folder is named.
    """
    _resumable(save)
    assert save is not None
    return replace(save, restart=True)


def _resumable(save: SaveOptions | None) -> Path:
    if save is None or save.out is None:
        hint = f"name it with {option('keep', 'runs/mine')}"
        raise RecipeError(argument("resume"), "needs the folder of the run", hint=hint)
    return Path(save.out)


def _with_searched_rate(
    problem: Problem, recipe: Recipe, save: SaveOptions | None, progress: Progress
) -> tuple[SaveOptions | None, Recipe]:
    """Find the learning rate; return the recipe that has it, and save options that keep the evidence."""
    if save is not None:
        reject_taken(save.out, save.force or save.restart)  # before the search
    if isinstance(problem.data, FoldedData):
        progress.note("the learning rate is found on the first fold, without its test split")
        problem = problem.of_fold(0)
    finding = find_lr(problem, recipe, share=SEARCH_SHARE, progress=progress)
    if finding.value is None:
        raise NoLearningRate(finding)
    progress.note(f"learning rate: {in_a_line(finding.to_dict())}")
    evidence = as_dict(finding, recipe)
    return None if save is None else replace(save, finding=evidence), finding.recipe


def _recipe_to_resume(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe that the run in a folder continues with; its rate was found when it started.

    Args:
        folder: Of the run.
        recipe: The recipe of this call, before a search.

    Raises:
        RecipeError: The run was started with a rate that was not searched for.
    """
    finding = current(finding_of(folder))
    if not finding:
        raise RecipeError(
            argument("lr"),
            "the run in the folder must have been started with auto",
            got=str(folder),
            hint="leave it out to continue with the run's own rate",
        )
    searched, before = (toml.read(f"{finding[key]}\n") for key in ("recipe", "recipe_before"))
    if toml.write(Recipe.from_dict(recipe.to_dict())) == toml.write(before):
        return searched
    return with_rate(recipe, finding["value"])
