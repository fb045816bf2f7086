"""Files that a run writes before its first step: the problem, the recipe, the machine and the versions."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from thalweg.core import imports
from thalweg.core.compiler import options
from thalweg.core.device import processor
from thalweg.core.tree import count, dotted, roles
from thalweg.problem.losses import described, unweighted
from thalweg.problem.models.adapter import is_factory
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import plain
from thalweg.run.folder.folder import RunFolder

_PACKAGES = ("thalweg", "jax", "jaxlib", "equinox", "optax", "numpy")
# The entries of finding.json that result.json repeats. The evidence stays in finding.json.
# `standing` is the name of `status` in schema 1.
_FINDING_SUMMARY = ("setting", "value", "low", "high", "default", "status", "standing", "cost")


class Descriptions(NamedTuple):
    """The contents of problem.json and environment.json, and of finding.json if a finder chose the rate."""

    problem: dict[str, Any]
    environment: dict[str, Any]
    finding: dict[str, Any] | None = None

    def finding_summary(self) -> dict[str, Any]:
        """Return the entry `finding` of result.json; empty without a finding."""
        if self.finding is None:
            return {}
        return {"finding": {name: self.finding[name] for name in _FINDING_SUMMARY if name in self.finding}}


def describe(
    problem: Problem, params: PyTree, layout: str, lanes: int, where: Mapping[str, str] | None = None
) -> Descriptions:
    """Describe a run.

    Args:
        problem: The problem.
        params: Parameters of one lane, or their shapes.
        layout: How the lanes are laid out.
        lanes: Number of lanes.
        where: `mesh`, the devices that they share, in words, unless it is one; `data_on`, unless the training
            rows are on the device.
    """
    machine = environment() | {"layout": layout, "lanes": lanes} | dict(where or {})
    return Descriptions(plain(_describe_problem(problem, params)), plain(machine))


def write_descriptions(run_folder: RunFolder, descriptions: Descriptions, recipe: Recipe) -> None:
    """Write what is known before the first step."""
    run_folder.write_json("problem.json", descriptions.problem)
    run_folder.write("recipe.toml", toml.write(recipe).encode())
    run_folder.write_json("environment.json", descriptions.environment)
    if descriptions.finding is not None:
        run_folder.write_json("finding.json", descriptions.finding)
    run_folder.write_json("result.json", {"run": str(run_folder.folder), "stopped": None})


def environment() -> dict[str, Any]:
    """Return package versions, the device and the kind of machine, without names or paths."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        **_versions(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "precision": "float32",
        "compiler": " ".join(f"{name}={value}" for name, value in options().items()) or "defaults",
    }


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _describe_problem(problem: Problem, params: PyTree) -> dict[str, Any]:
    data = problem.data
    objective = problem.objective
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "task": data.task,
            "counts": {name: split.count() for name, split in data.splits.items()},
            "input_shape": data.input_shape,
            "outputs": data.outputs,
            "classes": data.preparation.classes,
            "target": data.preparation.target,
            "notes": [asdict(note) for note in data.notes],
            "fingerprint": data.fingerprint,
            "preparation": data.preparation.to_dict(),
        },
        "model": {
            "spec": problem.model_name,
            "architecture": _architecture(problem.model),
            "import": own_functions(problem).get("model"),
            "parameters": count(params),
            "layers": _layers(params),
        },
        **({"outputs": problem.outputs} if objective is None else {"objective": objective.label}),
        "loss": problem.loss.label if objective is not None else described(problem.loss),
        "metric": problem.metric.name,
        **({"metrics": [each.name for each in problem.metrics]} if problem.more_metrics else {}),
        **({"class_weight": problem.class_weight} if problem.class_weight is not None else {}),
    }


def own_functions(problem: Problem) -> dict[str, Any]:
    """Return the import paths of the user's functions of a problem: model, loss and objective."""
    loss = unweighted(problem.loss) if problem.objective is None else problem.objective
    is_own = is_factory(problem.model) and not isinstance(problem.model, Architecture)
    functions = {
        "model": problem.model if is_own else None,
        "loss" if problem.objective is None else "objective": getattr(loss, "function", None),
    }
    records = {name: imports.record_of(function) for name, function in functions.items()}
    return {name: record for name, record in records.items() if record is not None}


def _architecture(model: Any) -> dict[str, Any] | None:
    """Return the data that rebuild the model; None for a custom class, which must be passed to `restore`."""
    return {"name": model.name} | model.to_dict() if isinstance(model, Architecture) else None


def _layers(params: PyTree) -> list[dict[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return [
        {"path": dotted(path), "shape": leaf.shape, "role": role, "count": leaf.size}
        for (path, leaf), role in zip(leaves, jax.tree.leaves(roles(params)), strict=True)
    ]
