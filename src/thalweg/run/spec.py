"""`RunSpec`: the specification of a run, as `train` received it and as run.json stores it.

On disk it is plain values, so that reading it executes nothing: `resume` rebuilds a model from a name that
the library knows, and a custom model class has to be passed again.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from thalweg.core.choice import choose
from thalweg.core.errors import DataError, ModelError, RecipeError, RunFolderError
from thalweg.engine.plan import LanePlan, Shard
from thalweg.problem.data.data import IN_MEMORY, fingerprint
from thalweg.problem.data.load import load
from thalweg.problem.data.sets.named import names
from thalweg.problem.models import ARCHITECTURES
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import flat_settings, label, varied
from thalweg.run.folder.filesystem import plain
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.sweep_record import lane_folder


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
    """

    out: Path | str | None = None
    force: bool = False
    every: str = "60s"
    last: int = 2
    finding: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the options that a resumed run takes over: not where to save, nor the finding's own file."""
        return {name: value for name, value in vars(self).items() if name not in ("out", "force", "finding")}

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
        if not self.factor > 1:
            raise RecipeError("halving", "factor must be above 1", got=self.factor)
        if not 0 < self.first < 1:
            raise RecipeError("halving", "first must be a fraction between 0 and 1", got=self.first)
        if self.at_least < 1:
            raise RecipeError("halving", "at_least must be 1 or more", got=self.at_least)

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
    """

    number: int
    recipe: Recipe
    label: str
    folder: RunFolder


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
        save: As `train` received it; run.json has its settings (`every`, `last`) at the top level.
        schedule_total: Updates that schedules are planned over, where that is not the length of the run.
        forked: Run folder and step that the run was forked from.
    """

    problem: dict[str, Any]
    recipes: tuple[Recipe, ...]
    many: bool
    plan: LanePlan
    strict: bool = False
    halving: Halving | None = None
    init: Path | str | None = None
    save: SaveOptions = field(default_factory=SaveOptions)
    schedule_total: int | None = None
    forked: dict[str, Any] | None = None

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
            "halving": None if self.halving is None else asdict(self.halving),
            "init": None if self.init is None else str(Path(self.init).absolute()),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object) -> Self:
        """Return the specification that `to_dict` wrote; optional fields that are missing get their default.

        Raises:
            RunFolderError: A required field is missing.
        """
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
        if optional.get("halving") is not None:
            optional["halving"] = Halving(**optional["halving"])
        return cls(**required, **optional, save=SaveOptions.from_dict(values))

    def lanes(self, folder: Path | None) -> list[Lane]:
        """Return the lanes of the run in this folder (None for memory only)."""
        settings = flat_settings(self.recipes)
        paths = varied(settings)
        return [
            # One of hundreds of lanes leaves syncing its files to the end of the sweep.
            Lane(
                number,
                recipe,
                label(settings[number], paths),
                RunFolder(folder and lane_folder(folder, number), False) if self.many else RunFolder(folder),
            )
            for number, recipe in enumerate(self.recipes)
        ]

    def rebuild_problem(
        self, problem: Problem | None = None, split_fingerprints: Mapping[str, str] | None = None
    ) -> Problem:
        """Return the problem of a run that is resumed, after checking that it has not changed.

        Args:
            problem: The problem that the caller passes; None to rebuild it from names.
            split_fingerprints: Fingerprint of each split as it was, where known, to say which one changed.

        Raises:
            DataError: The data cannot be read, or have changed.
            ModelError: A custom model, loss or metric was not passed, or a different one was.
        """
        problem = _rebuilt(self.problem) if problem is None else problem
        _check_same(self.problem, problem, split_fingerprints or {})
        return problem


def recipes_as_text(recipes: Sequence[Recipe]) -> list[str]:
    """Return recipes as TOML, from which equal ones are read."""
    return [toml.write(recipe) for recipe in recipes]


def describe_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain values."""
    data, model = problem.data, problem.model
    is_built_in = isinstance(model, Architecture)
    return plain(
        {
            "source": _source(data.source),
            "fingerprint": data.fingerprint,
            "counts": {name: split.count() for name, split in data.splits.items()},
            "shape": str(data.input_shape),
            "outputs": data.outputs,
            "classes": data.preparation.classes,
            "model": {"name": model.name} | model.to_dict() if is_built_in else None,
            "spec": problem.model_spec,
            "loss": _loss_name(problem),
            "metric": problem.metric.name,
        }
    )


def fingerprint_splits(problem: Problem) -> dict[str, str]:
    """Return a fingerprint of each split of the data, to say which one changed."""
    return {name: fingerprint({name: split}) for name, split in problem.data.splits.items()}


def _plan(values: Mapping[str, Any]) -> LanePlan:
    shards = tuple(Shard(**(shard | {"lanes": tuple(shard["lanes"])})) for shard in values["shards"])
    nested = {name: tuple(tuple(numbers) for numbers in values[name]) for name in ("groups", "waves")}
    flat = {name: tuple(values[name]) for name in ("layouts", "bytes", "reasons")}
    return LanePlan(shards=shards, workers=values["workers"], **nested, **flat)


def _rebuilt(before: Mapping[str, Any]) -> Problem:
    source, hint = before["source"], "pass the problem from Python: resume(folder, problem)"
    if before["model"] is None:
        rule = "a run of a custom model class can only be resumed with that class"
        raise ModelError("model", rule, got=before["spec"], hint=hint)
    if not source or IN_MEMORY in (source["from"], source["options"].get("test")):
        rule = "of a run on arrays in memory must be passed again"
        raise DataError("data", rule, got=source.get("from"), hint=hint)
    model = choose(ARCHITECTURES, before["model"], "model")
    problem = Problem(model, load(source["from"], **source["options"]))
    if (_loss_name(problem), problem.metric.name) != (before["loss"], before["metric"]):
        rule = "a run with a custom loss or metric can only be resumed with them"
        raise ModelError("loss", rule, got=f"{before['loss']}, {before['metric']}", hint=hint)
    return problem


def _check_same(before: Mapping[str, Any], problem: Problem, split_fingerprints: Mapping[str, str]) -> None:
    now = describe_problem(problem)
    if before["fingerprint"] != now["fingerprint"]:
        present = fingerprint_splits(problem)
        changed = [name for name, value in split_fingerprints.items() if present.get(name) != value]
        raise DataError(
            "data",
            "must be those that the run was started with",
            got=_changes(before, now, changed),
            where=(before["source"] or {}).get("from"),
            hint="restore the original data, or train on the new ones: thalweg fit ... --init RUN",
        )
    for name in ("spec", "loss", "metric"):
        if before[name] != now[name]:
            raise ModelError(
                "problem",
                f"must have the {'model' if name == 'spec' else name} that the run was started with",
                got=now[name],
                where=f"it was {before[name]}",
            )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], splits: Sequence[str]) -> str:
    changes = []
    for name in sorted({*before["counts"], *now["counts"]}):
        old, new = before["counts"].get(name), now["counts"].get(name)
        if old != new:
            changes.append(f"{new} examples instead of {old} in the {name} split")
    for name, noun in (("shape", "inputs of shape"), ("outputs", "outputs"), ("classes", "classes")):
        if before[name] != now[name]:
            changes.append(f"{noun} {now[name]} instead of {before[name]}")
    where = f" in the {', '.join(splits)} split{'s' if len(splits) > 1 else ''}" if splits else ""
    return "; ".join(changes) or f"the same number of examples, with other values or in another order{where}"


def _loss_name(problem: Problem) -> str:
    return getattr(problem.loss, "label", problem.loss.name)


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the data came from, with absolute paths, which hold from any working directory."""
    if not source:
        return {}
    options = {name: _absolute(value) for name, value in source.get("options", {}).items()}
    origin = source.get("from")
    return {"from": origin if origin in names() else _absolute(origin), "options": options}


def _absolute(value: Any) -> Any:
    return os.path.abspath(value) if isinstance(value, str) and Path(value).exists() else value
