"""`RunSpec`: the specification of a run, as `train` received it and as run.json stores it.

On disk it is plain values, so that reading it executes nothing: `resume` rebuilds a model from a name that
the library knows, and a custom model class has to be passed again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from thalweg.core.arguments import check_fields
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.core.tree import count as count_parameters
from thalweg.engine.feeds.gathered import DEVICE, HOST
from thalweg.engine.group import feed_of
from thalweg.engine.mesh import Devices, Place
from thalweg.engine.plan import LanePlan, Shard
from thalweg.problem.data.data import Data
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import flat_settings, label, varied
from thalweg.run.folder.filesystem import plain
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.shapes import check_origin
from thalweg.run.folder.sweep_record import lane_folder
from thalweg.run.problem_record import check_same, describe_problem, rebuilt

# The entry of the origin of a sweep over several models, each of which is a sweep of its own: their number.
MODELS = "models"


@dataclass(frozen=True)
class SaveOptions:
    """Where a run is saved, and how often its state is.

    Args:
        out: The run folder; None for `runs/<data>-<n>` with the next free n.
        force: Whether to overwrite a run that the folder holds.
        every: When to save a checkpoint: after a number of updates (`500`), after a time (`60s`, `10m`), or
            `off`. A run that ends or is interrupted saves one in any case.
        last: How many of the latest checkpoints to keep, besides the one of the best validation loss.
        finding: For a single run: how its learning rate was found, as plain values
            (`insight.finder.finding_io`). It is saved with the run and named in its result.
        restart: Whether to overwrite what a start left that was killed before it could be resumed.
        data: Whether data that came from memory are kept in the folder, up to 64 MB (`run.folder.kept_data`),
            so that `resume` does not need them again.
    """

    out: Path | str | None = None
    force: bool = False
    every: str = "60s"
    last: int = 2
    finding: Mapping[str, Any] | None = None
    restart: bool = False
    data: bool = True

    def __post_init__(self) -> None:
        check_fields(RunFolderError, "keep", self)

    def to_dict(self) -> dict[str, Any]:
        """Return the options that a resumed run takes over: not where to save, nor the finding's own file."""
        return {"every": self.every, "last": self.last, "data": self.data}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the options that `to_dict` wrote; the default where an older version wrote none."""
        return cls(**{name: values[name] for name in cls().to_dict() if name in values})


@dataclass(frozen=True)
class Halving:
    """Successive halving: at each rung, freeze all but the best settings.

    A rung is the first evaluation at or after its fraction of the run. Settings are compared by their latest
    validation loss, averaged over seeds. Schedules are not shortened, so a setting that starts slowly and
    would win in the end can be lost.

    Args:
        factor: One in `factor` settings continues beyond a rung. 3 is the usual choice (Li et al., Hyperband,
            2018).
        first: Fraction of the run at the first rung; each later rung is at `factor` times the fraction.
        at_least: Number of settings that always continue.

    Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
    2016.
    """

    factor: float = 3.0
    first: float = 1 / 9
    at_least: int = 1

    def __post_init__(self) -> None:
        check_fields(RecipeError, "halving", self)
        if not self.factor > 1:
            raise RecipeError("halving", "factor must be above 1", got=self.factor, hint="try 3")
        if not 0 < self.first < 1:
            rule = "first must be a fraction between 0 and 1"
            raise RecipeError("halving", rule, got=self.first, hint="try 0.1")
        if self.at_least < 1:
            raise RecipeError("halving", "at_least must be 1 or more", got=self.at_least, hint="try 1")

    @property
    def rungs(self) -> list[float]:
        """Fractions of the run, ascending."""
        rungs, rung = [], self.first
        while rung < 1:
            rungs.append(rung)
            rung *= self.factor
        return rungs


@dataclass(frozen=True)
class Lane:
    """One recipe of a run, and where its results go.

    Args:
        number: Its position among the recipes.
        recipe: How it trains.
        label: The settings that vary among the lanes, for people: `lr 0.001, seed 0`.
        folder: Its run folder.
        fold: The fold of the data that it trains on; None where the data have none.
    """

    number: int
    recipe: Recipe
    label: str
    folder: RunFolder
    fold: int | None = None


@dataclass(frozen=True)
class RunSpec:
    """The specification of a run: the `origin` of run.json.

    A new option of a run is a new field here, with a default that older folders get.

    Args:
        problem: The problem as plain values: data source, fingerprint and counts, model, loss and metric.
        recipes: One for each lane.
        many: Whether it is a sweep, possibly of one lane.
        plan: Where the lanes run; a sweep resumes in the same shards.
        strict, halving, init: As `train` received them.
        init_names: Names in the file of `init` by path in the model; None where they are the same.
        save: As `train` received it; run.json has its settings (`every`, `last`) at the top level.
        schedule_total: Updates that schedules are planned over, where that is not the length of the run.
        forked: Run folder and step that the run was forked from.
        folds: The fold of the data that each lane trains on; empty where the data have none.
        judged: What the caller adds to the result of the single run before its folder is sealed, as its judge
            takes it (see `Judge`); empty for nothing.
        devices: How many devices share the lanes and the rows of a batch; None for one, as JAX chooses it.
        data_on: Where the training rows are, `device` or `host`.
    """

    problem: dict[str, Any]
    recipes: tuple[Recipe, ...]
    many: bool
    plan: LanePlan
    strict: bool = False
    halving: Halving | None = None
    init: Path | str | None = None
    init_names: dict[str, str] | None = None
    save: SaveOptions = field(default_factory=SaveOptions)
    schedule_total: int | None = None
    forked: dict[str, Any] | None = None
    folds: tuple[int, ...] = ()
    judged: dict[str, Any] = field(default_factory=dict)
    devices: Devices | None = None
    data_on: str = DEVICE

    @classmethod
    def of(cls, problem: Problem, recipes: Sequence[Recipe], many: bool, plan: LanePlan, **more: Any) -> Self:
        """Return the specification of a new run; `more` are further fields."""
        return cls(describe_problem(problem), tuple(recipes), many, plan, **more)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in run.json."""
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            values |= self.save.to_dict() if name == "save" else {name: value}
        return values | {
            "recipes": recipes_as_text(self.recipes),
            "plan": plain(asdict(self.plan)),
            "folds": list(self.folds),
            "halving": None if self.halving is None else asdict(self.halving),
            "init": None if self.init is None else str(Path(self.init).absolute()),
            "devices": None if self.devices is None else self.devices.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object) -> Self:
        """Return the specification that `to_dict` wrote; optional fields that are missing get their default.

        Raises:
            RunFolderError: A required field is missing, or one has another type.
        """
        check_origin(values, where)
        try:
            required = {
                "problem": values["problem"],
                "recipes": tuple(toml.read(text + "\n") for text in values["recipes"]),  # no file name
                "many": values["many"],
                "plan": _plan(values["plan"]),
            }
        except KeyError as error:
            raise RunFolderError(
                "run",
                "run.json must say what the run was started with",
                got=f"no {error.args[0]}",
                where=where,
                hint="it was written by another version of Thalweg",
            ) from None
        present = [item.name for item in fields(cls) if item.name not in required and item.name in values]
        optional = {name: values[name] for name in present}
        optional["folds"] = tuple(optional.get("folds", ()))
        if isinstance(optional.get("judged"), bool):  # of a version whose judge knew references only
            optional["judged"] = {"references": True} if optional["judged"] else {}
        if optional.get("halving") is not None:
            optional["halving"] = Halving(**optional["halving"])
        if optional.get("devices") is not None:
            optional["devices"] = Devices(**optional["devices"])
        if optional.get("data_on", DEVICE) not in (DEVICE, HOST):
            rule, hint = f"data_on must be {DEVICE} or {HOST}", "it was written by another version of Thalweg"
            raise RunFolderError("run", rule, got=optional["data_on"], where=where, hint=hint)
        return cls(**required, **optional, save=SaveOptions.from_dict(values))

    @cached_property
    def settings(self) -> list[dict[str, Any]]:
        """The settings of each recipe by dotted path."""
        return flat_settings(self.recipes)

    def places(self, problem: Problem) -> Sequence[Place | None]:
        """Return where shards train: the rows of the mesh, or None, the device that JAX chooses.

        Raises:
            BadInput: The devices are not there, or cannot share the rows of a batch.
        """
        if self.devices is None:
            return [None]
        for recipe in self.recipes:
            self.devices.check_batch(feed_of(problem, [recipe]).batch_size, recipe.accumulate)
        return self.devices.places()

    def lanes(self, folder: Path | None) -> list[Lane]:
        """Return the lanes of the run in this folder (None for memory only)."""
        settings, paths = self.settings, varied(self.settings)
        lanes = []
        for number, recipe in enumerate(self.recipes):
            # One of hundreds of lanes leaves syncing its files to the end of the sweep.
            own = RunFolder(folder and lane_folder(folder, number), False) if self.many else RunFolder(folder)
            fold = self.folds[number] if self.folds else None
            words = [label(settings[number], paths), "" if fold is None else f"fold {fold}"]
            lanes.append(Lane(number, recipe, ", ".join(filter(None, words)), own, fold))
        return lanes

    def sweep_facts(self, problem: Problem, folder: Path | None) -> dict[str, Any]:
        """Return what is known about a sweep before it starts, as plain values."""
        return {
            "run": None if folder is None else str(folder),
            "stopped": None,
            "data": problem.data.name,
            "task": problem.data.task,
            "model": problem.model_name,
            "parameters": count_parameters(problem.shapes.params),
            "metric": {"name": problem.metric.name, "higher_is_better": problem.metric.higher_is_better},
            "lanes": len(self.recipes),
            "varied": varied(self.settings),
            "groups": [list(group) for group in self.plan.groups],
            "plan": self.plan.to_dict(),
            "recipe": self.recipes[0].to_dict(),
        }

    def rebuild_problem(
        self,
        problem: Problem | None = None,
        split_fingerprints: Mapping[str, str] | None = None,
        data: Any = None,
        kept: Callable[[], Data] | None = None,
    ) -> Problem:
        """Return the problem of a run that is resumed, after checking that it has not changed.

        Args:
            problem: The problem that the caller passes; None to rebuild it from names.
            split_fingerprints: Fingerprint of each split as it was, where known, to say which one changed.
            data: Where the data are now, as `load` takes it; None where they were.
            kept: Reads the data that the folder keeps; None if it keeps none.

        Raises:
            DataError: The data cannot be read, or have changed.
            ModelError: A custom model, loss or metric was not passed, or a different one was.
        """
        problem = rebuilt(self.problem, data, kept) if problem is None else problem
        check_same(self.problem, problem, split_fingerprints or {})
        return problem


def recipes_as_text(recipes: Sequence[Recipe]) -> list[str]:
    """Return recipes as TOML, from which equal ones are read."""
    return [toml.write(recipe) for recipe in recipes]


def _plan(values: Mapping[str, Any]) -> LanePlan:
    shards = tuple(Shard(**(shard | {"lanes": tuple(shard["lanes"])})) for shard in values["shards"])
    nested = {name: tuple(tuple(numbers) for numbers in values[name]) for name in ("groups", "waves")}
    flat = {name: tuple(values[name]) for name in ("layouts", "bytes", "reasons")}
    return LanePlan(shards=shards, workers=values["workers"], **nested, **flat)
