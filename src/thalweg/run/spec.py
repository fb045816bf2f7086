"""What a run was begun with, as plain values in run.json: enough to begin it again, or to go on.

Nothing is executed: models are made from names the library knows; a class of the caller's own must be brought
by the caller again.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from thalweg.core.choice import choose
from thalweg.core.errors import DataError, ModelError, RunFolderError
from thalweg.engine.plan import LanePlan, Shard
from thalweg.problem.data.fingerprint import fingerprint
from thalweg.problem.data.load import load
from thalweg.problem.data.reading import IN_MEMORY
from thalweg.problem.data.sets.named import names
from thalweg.problem.models import ARCHITECTURES
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import plain
from thalweg.run.session.halving import Halving


@dataclass(frozen=True)
class Origin:
    """What a run was begun with.

    Args:
        problem: Data source, fingerprint and counts, model, loss and metric.
        recipes: TOML, one for each lane.
        many: Whether it is a sweep, also of one lane.
        plan: Where the lanes run; a sweep goes on in the same shards.
        strict, halving, init: As `train` was given them.
        every, last: When checkpoints are due, and how many are kept.
        schedule_total: Updates that schedules are planned over, where it is not the length of the run.
        forked: Where it was forked from: run folder and step.
    """

    problem: dict[str, Any]
    recipes: list[str]
    many: bool
    plan: dict[str, Any]
    strict: bool = False
    halving: dict[str, Any] | None = None
    init: str | None = None
    every: str = "60s"
    last: int = 2
    schedule_total: int | None = None
    forked: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], where: object) -> Self:
        """Read it from plain values.

        Raises:
            RunFolderError: Something is missing.
        """
        try:
            return cls(**{name: given[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise RunFolderError(
                "run",
                "run.json must say what the run was begun with",
                got=f"no {error.args[0]}",
                where=where,
                hint="it was written by another version of Thalweg",
            ) from None

    def lane_recipes(self) -> list[Recipe]:
        """Return the recipes."""
        return [toml.read(text + "\n") for text in self.recipes]  # a line break: text, no file name

    def lane_plan(self) -> LanePlan:
        """Return the plan."""
        told = dict(self.plan)
        shards = [Shard(**(shard | {"lanes": tuple(shard["lanes"])})) for shard in told.pop("shards")]
        groups, waves = (tuple(tuple(one) for one in told.pop(name)) for name in ("groups", "waves"))
        rest = {name: tuple(told[name]) for name in ("layouts", "bytes", "reasons")}
        return LanePlan(groups=groups, shards=tuple(shards), waves=waves, workers=told["workers"], **rest)

    def made_problem(self, given: Problem | None = None, parts: Mapping[str, str] | None = None) -> Problem:
        """Return the problem, made again from names, or the one that the caller brings; checked against what
        it was.

        Args:
            given: What the caller brings.
            parts: Fingerprint of each part of the data as it was, where known, to say which one changed.

        Raises:
            DataError: The data cannot be read again, or are others than they were.
            ModelError: The model is a class of the caller's own, and none was brought.
        """
        problem = given if given is not None else self._made()
        check_same(self.problem, problem, parts or {})
        return problem

    def _made(self) -> Problem:
        told, source = self.problem, self.problem["source"]
        if told["model"] is None:
            raise ModelError(
                "model",
                "a run of a class of your own needs that class to go on",
                got=told["spec"],
                hint="pass the problem from Python: resume(folder, problem)",
            )
        if not source or IN_MEMORY in (source["from"], source["options"].get("test")):
            raise DataError(
                "data",
                "of a run on arrays in memory must be brought again",
                got=source.get("from"),
                hint="pass the problem from Python: resume(folder, problem)",
            )
        model = choose(ARCHITECTURES, told["model"], "model")
        problem = Problem(model, load(source["from"], **source["options"]))
        if (_loss(problem), problem.metric.name) != (told["loss"], told["metric"]):
            raise ModelError(
                "loss",
                "a run with a loss or metric of your own needs them to go on",
                got=f"{told['loss']}, {told['metric']}",
                hint="pass the problem from Python: resume(folder, problem)",
            )
        return problem


def plan_as_dict(plan: LanePlan) -> dict[str, Any]:
    """Return a plan as plain values, from which `Origin.lane_plan` makes it again."""
    return plain(asdict(plan))


def described(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain values."""
    data, model = problem.data, problem.model
    own = isinstance(model, Architecture)
    return plain(
        {
            "source": _source(data.source),
            "fingerprint": data.fingerprint,
            "counts": {name: part.count() for name, part in data.splits.items()},
            "shape": str(data.input_shape),
            "outputs": data.outputs,
            "classes": data.preparation.classes,
            "model": {"name": model.name} | model.to_dict() if own else None,
            "spec": problem.model_spec,
            "loss": _loss(problem),
            "metric": problem.metric.name,
        }
    )


def part_fingerprints(problem: Problem) -> dict[str, str]:
    """Return a fingerprint of each part of the data, to say which one changed."""
    return {name: fingerprint({name: part}) for name, part in problem.data.splits.items()}


def check_same(before: Mapping[str, Any], problem: Problem, parts: Mapping[str, str]) -> None:
    """Refuse data, a model or a loss that are not those the run was begun with.

    Raises:
        DataError: The data changed; says what did.
        ModelError: The model, the loss or the metric is another.
    """
    now = described(problem)
    if before["fingerprint"] != now["fingerprint"]:
        other = part_fingerprints(problem)
        changed = [name for name, value in parts.items() if other.get(name) != value]
        raise DataError(
            "data",
            "must be those that the run was begun with",
            got=_changes(before, now, changed),
            where=(before["source"] or {}).get("from"),
            hint="bring the data back as they were, or train anew on these: thalweg fit ... --init RUN",
        )
    for name in ("spec", "loss", "metric"):
        if before[name] != now[name]:
            raise ModelError(
                "problem",
                f"must have the {'model' if name == 'spec' else name} that the run was begun with",
                got=now[name],
                where=f"it was {before[name]}",
            )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], parts: Sequence[str]) -> str:
    changed = []
    for name in sorted({*before["counts"], *now["counts"]}):
        old, new = before["counts"].get(name), now["counts"].get(name)
        if old != new:
            changed.append(f"{new} examples instead of {old} in the {name} part")
    for name, word in (("shape", "inputs of shape"), ("outputs", "outputs"), ("classes", "classes")):
        if before[name] != now[name]:
            changed.append(f"{word} {now[name]} instead of {before[name]}")
    where = f" in the {', '.join(parts)} part{'s' if len(parts) > 1 else ''}" if parts else ""
    return "; ".join(changed) or f"as many examples as before, with other values or in another order{where}"


def _loss(problem: Problem) -> str:
    return getattr(problem.loss, "label", problem.loss.name)


def _source(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the data came from, with paths that mean the same from any folder."""
    if not given:
        return {}
    options = {name: _absolute(value) for name, value in given.get("options", {}).items()}
    told = given.get("from")
    return {"from": told if told in names() else _absolute(told), "options": options}


def _absolute(value: Any) -> Any:
    return os.path.abspath(value) if isinstance(value, str) and Path(value).exists() else value


def halving_of(told: Mapping[str, Any] | None) -> Halving | None:
    """Return the halving of an origin."""
    return None if told is None else Halving(**told)


def recipes_as_text(recipes: Sequence[Recipe]) -> list[str]:
    """Return recipes as TOML, from which equal ones are read."""
    return [toml.write(recipe) for recipe in recipes]
