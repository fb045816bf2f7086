"""What is written before the first step: the resolved problem and recipe, and where it runs."""

from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from thalweg.core.tree import count, dotted, roles
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.environment import environment
from thalweg.run.folder.folder import RunFolder, plain

# The keys of finding.json that result.json repeats. `standing` is the name of `status` in schema 1.
_IN_RESULT = ("setting", "value", "low", "high", "default", "status", "standing", "cost")


class Descriptions(NamedTuple):
    """The contents of problem.json and environment.json; of finding.json, where a finder chose the rate."""

    problem: dict[str, Any]
    environment: dict[str, Any]
    finding: dict[str, Any] | None = None

    def found(self) -> dict[str, Any]:
        """Return what the result says of the finding; nothing without one."""
        if self.finding is None:
            return {}
        return {"finding": {name: self.finding[name] for name in _IN_RESULT if name in self.finding}}


def describe(problem: Problem, params: PyTree, layout: str, lanes: int) -> Descriptions:
    """Gather what is to be written; `params` of one lane, or their shapes."""
    told = environment() | {"layout": layout, "lanes": lanes}
    return Descriptions(plain(_problem(problem, params)), plain(told))


def write_descriptions(home: RunFolder, told: Descriptions, recipe: Recipe) -> None:
    """Write what is known before the first step."""
    home.write_json("problem.json", told.problem)
    home.write("recipe.toml", toml.write(recipe).encode())
    home.write_json("environment.json", told.environment)
    if told.finding is not None:
        home.write_json("finding.json", told.finding)
    home.write_json("result.json", {"run": str(home.folder), "stopped": None})


def _problem(problem: Problem, params: PyTree) -> dict[str, Any]:
    data = problem.data
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "task": data.task,
            "counts": {name: part.count() for name, part in data.splits.items()},
            "input_shape": data.input_shape,
            "outputs": data.outputs,
            "classes": data.preparation.classes,
            "target": data.preparation.target,
            "notes": [{"kind": n.kind, "text": n.text, "columns": n.columns} for n in data.notes],
            "fingerprint": data.fingerprint,
            "preparation": data.preparation.to_dict(),
        },
        "model": {
            "spec": problem.model_spec,
            "architecture": _architecture(problem.model),
            "parameters": count(params),
            "layers": _layers(params),
        },
        "loss": getattr(problem.loss, "label", problem.loss.name),
        "metric": problem.metric.name,
    }


def _architecture(model: Any) -> dict[str, Any] | None:
    """Return what rebuilds the model; None for a caller's own class, which the caller must bring again."""
    return {"name": model.name} | model.to_dict() if isinstance(model, Architecture) else None


def _layers(params: PyTree) -> list[dict[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    kinds = jax.tree.leaves(roles(params))
    return [
        {"path": dotted(path), "shape": leaf.shape, "role": role, "count": leaf.size}
        for (path, leaf), role in zip(flat, kinds, strict=True)
    ]
