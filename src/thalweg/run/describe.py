"""What is written before the first step: the resolved problem and recipe, and where it runs."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from thalweg.core.tree import count, dotted, lane, roles
from thalweg.engine.group import Group
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.environment import environment
from thalweg.run.folder import plain, write_atomically, write_json


class Descriptions(NamedTuple):
    """The contents of problem.json, recipe.toml and environment.json."""

    problem: dict[str, Any]
    recipe: Recipe
    environment: dict[str, Any]


def describe(problem: Problem, recipe: Recipe, params: PyTree, group: Group) -> Descriptions:
    """Gather what is to be written; `params` with their lane axis."""
    told = environment() | {
        "steps_per_dispatch": group.program.capacity,
        "layout": "map",
        "lanes": len(group.recipes),
    }
    return Descriptions(plain(_problem(problem, lane(params, 0))), recipe, plain(told))


def write_descriptions(folder: Path, told: Descriptions) -> None:
    """Write the three files."""
    write_json(folder / "problem.json", told.problem)
    write_atomically(folder / "recipe.toml", toml.write(told.recipe).encode())
    write_json(folder / "environment.json", told.environment)
    write_json(folder / "result.json", {"run": str(folder), "stopped": None})


def _problem(problem: Problem, params: PyTree) -> dict[str, Any]:
    data = problem.data
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "task": data.task,
            "counts": {name: part.count() for name, part in data.parts.items()},
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
