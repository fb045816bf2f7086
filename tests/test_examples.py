"""Every script in `examples/`: in lanes as alone, resumed as uninterrupted, bit for bit, in a short form."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

from tests.run.test_resume import BreakOff, BrokenOff
from thalweg.run.folder.record import read
from thalweg.run.resume import resume
from thalweg.run.run import Run
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
RATES = ("lr", "learning_rate")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_equal(first: Run, second: Run) -> None:
    trees = [jax.tree.leaves((run.params, run.model_state)) for run in (first, second)]
    for one, other in zip(*trees, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    for name in ("steps", "evaluations", "figures"):
        tables = [getattr(run.record, name) for run in (first, second)]
        tables = [table.drop("seconds", strict=False) for table in tables]
        assert tables[0].equals(tables[1], null_equal=True), name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_the_same_in_lanes_alone_and_resumed(path, tmp_path):
    example = loaded(path)
    problem, recipe = example.problem(), example.recipe()
    short = dataclasses.replace(recipe, steps=9, epochs=None)
    other = dataclasses.replace(short, seed=3)
    alone = train(problem, short, keep=tmp_path / "alone")
    assert_equal(alone, train(problem, [other, short], strict=True)[1])
    with pytest.raises(BrokenOff):
        train(problem, short, keep=SaveOptions(tmp_path / "broken", every="4"), progress=BreakOff(6))
    assert_equal(alone, resume(tmp_path / "broken", problem))
    assert read(tmp_path / "alone").result["test_loss"] == alone.result["test_loss"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_fits_on_a_page(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
