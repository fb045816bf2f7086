"""`fit(..., ensemble=)` from a table to a run folder: one model, restored, resumed, predicted from."""

import sys

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.core import compiler
from thalweg.core.errors import BadInput
from thalweg.doors.cli import app, find, race, sweep
from thalweg.doors.export.graph import graph_of
from thalweg.engine.compilation import compile_once
from thalweg.engine.group import init_group
from thalweg.insight import ensembles
from thalweg.insight import fit as fitting
from thalweg.problem.calibration import Calibration
from thalweg.problem.losses.outputs import class_columns
from thalweg.problem.models import Tabular
from thalweg.recipe.book import tabular_recipe
from thalweg.run.restore import trained_of

RANDOM = np.random.default_rng(0)
ROWS = 120
TABLE = pl.DataFrame(
    {"x": RANDOM.normal(size=ROWS), "kind": ["a", "b", "c"] * (ROWS // 3), "z": RANDOM.normal(size=ROWS)}
).with_columns(y=pl.col("x") * 3 + pl.col("kind").replace_strict({"a": 0.0, "b": 1.0, "c": 2.0}))
QUICK = {"target": "y", "ensemble": 2, "epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tw.fit(TABLE, keep=tmp_path_factory.mktemp("ensemble") / "run", **QUICK)


def test_the_members_leave_folds_out_so_that_all_other_rows_train_and_validate(run):
    data = run.problem.data
    assert (run.problem.model.members, run.problem.model.folds) == (2, 2)
    assert data.train.count() == data.validation.count() == 96
    assert set(data.rows["train"]) == set(data.rows["validation"])
    assert not set(data.rows["train"]) & set(data.rows["test"])
    assert (np.asarray(data.validation.fold) == -1 - np.asarray(data.train.fold)).all()
    assert np.bincount(data.train.fold).tolist() == [48, 48]


def test_the_folder_restores_one_model_whose_intervals_are_in_the_predictions(run):
    new = TABLE.head(7).drop("y")
    own, restored = run.predict(new), tw.restore(run.folder).answers(new)
    assert list(own) == list(restored) == ["prediction", "low", "high"]
    for name, values in own.items():
        np.testing.assert_allclose(restored[name], values, rtol=1e-6)
    half = Calibration.of(run.result).half_width * np.ravel(run.problem.data.preparation.target_scale)[0]
    np.testing.assert_allclose(own["high"] - own["low"], np.full(7, 2 * half), rtol=1e-4)


def test_a_run_predicts_from_a_file_and_from_no_rows_at_all(run, tmp_path):
    TABLE.write_csv(tmp_path / "new.csv")
    for path in (tmp_path / "new.csv", str(tmp_path / "new.csv")):
        np.testing.assert_allclose(
            run.predict(path)["prediction"], run.predict(TABLE)["prediction"], atol=1e-6
        )
    assert run.predict(TABLE[:0])["prediction"].shape == (0,)


def test_the_temperature_is_in_predictions_and_exports():
    classes = TABLE.with_columns(y=pl.when(pl.col("y") > 1).then(pl.lit("high")).otherwise(pl.lit("low")))
    run = tw.fit(classes, **QUICK, references=False)
    temperature, trained = Calibration.of(run.result).temperature, trained_of(run)
    assert abs(temperature - 1) > 0.05
    inputs = trained.preparation.columns.examples(classes.head(9).drop("y")).inputs
    columns = class_columns(np.asarray(trained.outputs(inputs)), "logits") / temperature
    expected = np.exp(columns) / np.exp(columns).sum(axis=1, keepdims=True)
    shares = np.stack(
        [each for name, each in trained.answers_of(trained.outputs(inputs)).items() if "prob" in name], 1
    )
    np.testing.assert_allclose(shares, expected, rtol=1e-5)
    np.testing.assert_allclose(graph_of(trained)(inputs)["probabilities"], expected, rtol=1e-5)


def test_it_is_continued_from_its_folder_alone(run, tmp_path):
    change = tw.Change(epochs=6, schedule="stretch", out=tmp_path / "longer")
    longer = tw.resume(run.folder, change=change, progress=False)
    assert longer.result["epochs"] == 6
    assert longer.problem.model == run.problem.model
    assert longer.problem.data.fingerprint == run.problem.data.fingerprint


@pytest.mark.parametrize(
    ("options", "members"),
    [
        ({}, 8),
        ({"lr": 1e-2, "epochs": 3, "loss": "cross_entropy"}, 8),
        ({"ensemble": 1}, 1),
        ({"model": "mlp:4"}, None),
        ({"recipe": "adamw"}, None),
        ({"loss": lambda outputs, targets: (outputs - targets) ** 2, "task": "regression"}, None),
        ({"folds": 2}, None),
    ],
)
def test_a_table_has_an_ensemble_unless_the_user_chose_what_is_trained(options, members, monkeypatch):
    made = []
    monkeypatch.setattr(fitting, "train_judged", lambda problem, *_, **__: made.append(problem))
    target = "y" if options.get("task") == "regression" else "kind"
    tw.fit(TABLE, **{"target": target, "progress": False} | options)
    model = made[0].model
    assert (model.members if isinstance(model, Tabular) else None) == members


class Trained(Exception):
    """Raised in place of a training."""


def stop(*_, **__):
    raise Trained


@pytest.mark.parametrize(
    ("command", "trains", "where"),
    [
        (["sweep", "--vary", "optimizer.lr=1e-3,1e-2"], (sweep, "train_models"), "here"),
        (["find"], (find, "find_lr"), "here"),
        (["race", "--optimizers", "adamw,sgd"], (race, "run_race"), "here"),
        (["fit", "--folds", "3"], (fitting, "train_judged"), "on each fold"),
        (["fit"], (fitting, "train_judged"), None),
        (["sweep", "--model", "mlp:4", "--vary", "seed=0,1"], (sweep, "train_models"), None),
    ],
)
def test_what_trains_single_networks_on_a_table_says_so(
    command, trains, where, tmp_path, monkeypatch, capsys
):
    TABLE.write_csv(tmp_path / "table.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(*trains, stop)
    name, *options = command
    monkeypatch.setattr(sys, "argv", ["thalweg", name, "table.csv", "--target", "y", *options])
    with pytest.raises(Trained):
        app._outcome()
    told = " ".join(capsys.readouterr().err.split())
    assert ("single networks" in told) == (where is not None)
    assert (
        where is None
        or f"trained {where}; plain fit, without a model or a recipe, trains an ensemble of 8" in told
    )


def test_the_doctor_looks_at_an_ensemble(run):
    found = tw.diagnose(run.problem, run.recipe, quick=True)
    assert found.verdict != "unhealthy"


def test_small_tables_have_few_updates_and_large_ones_the_epochs_of_the_default():
    few, values, many = (
        tabular_recipe(*case)
        for case in (("classification", 500), ("regression", 500), ("classification", 5000))
    )
    assert [each.epochs * (500 // each.batch_size) for each in (few, values)] == [403, 620]
    assert (few.optimizer.lr, values.optimizer.lr) == (3e-3, 1e-2)
    assert (many.epochs, many.optimizer.lr) == (30, 3e-3)


def test_large_tables_and_plain_arrays_have_one_network(monkeypatch):
    data = tw.load(TABLE, target="y")
    assert ensembles.members_by_default(data) == 8
    assert (
        ensembles.members_by_default(tw.load((TABLE.select("x", "z").to_numpy(), TABLE["y"].to_numpy())))
        is None
    )
    monkeypatch.setattr(ensembles, "MOST_ROWS", 90)
    assert ensembles.members_by_default(data) is None


@pytest.mark.parametrize(("members", "effort"), [(2, compiler.BRIEF), (None, compiler.WHOLE)])
def test_what_trains_briefly_is_compiled_briefly(members, effort):
    random = np.random.default_rng(0)
    arrays = (random.normal(size=(60, 3)).astype(np.float32), random.integers(0, 2, 60))
    problem = fitting.read_problem(arrays, Tabular([None, 4, None]), ensemble=members)
    group, _ = init_group(problem, [tw.Recipe(steps=2)])
    seen = []
    compile_once(lambda program: seen.append(compiler._EFFORT.get()), group.program)
    assert seen == [effort] and compiler._EFFORT.get() == compiler.WHOLE


def test_copies_of_a_row_are_in_one_fold():
    doubled = pl.concat([TABLE, TABLE])
    data = tw.load(doubled, target="y", validation_folds=3)
    inputs, fold = np.asarray(data.train.inputs), np.asarray(data.train.fold)
    _, unit = np.unique(inputs, axis=0, return_inverse=True)
    assert all(len(set(fold[unit == each])) == 1 for each in np.unique(unit))


@pytest.mark.parametrize(
    ("source", "options", "rule"),
    [
        (TABLE, {"ensemble": 0}, "must be at least 1"),
        (TABLE, {"ensemble": 2, "model": "linear"}, "an ensemble is of networks mlp or tabular"),
        ("digits", {"ensemble": 2, "target": None}, "an ensemble needs rows of one array"),
        (
            TABLE,
            {"validation_folds": 3, "model": "mlp:4", "ensemble": None},
            "must be a Tabular of 3 folds",
        ),
        (TABLE, {"validation_folds": 1}, "at least 2 folds"),
        (TABLE, {"validation_folds": 3, "validation": 0.0}, "rows for training and for validation"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(source, options, rule):
    with pytest.raises(BadInput, match=rule):
        tw.fit(source, **(QUICK | options))


def test_few_different_rows_leave_no_fold_empty():
    inputs = np.arange(5, dtype=np.float32)[np.arange(60) % 5, None]
    data = tw.load((inputs, np.arange(60) % 2))
    model, divided = ensembles.with_members(None, data, 8)
    assert (model.members, model.folds) == (8, 1) and divided is data
    tw.Problem(model, divided)  # eight folds of five different rows were refused


def test_the_classes_are_dealt_evenly_and_at_random_to_the_folds():
    kinds = np.repeat([0, 1], [60, 30])
    loaded = [
        tw.load((RANDOM.normal(size=(90, 3)), kinds), test=0.0, validation_folds=3, split_seed=seed)
        for seed in (0, 0, 1)
    ]
    for data in loaded:
        counts = np.zeros((2, 3), int)
        np.add.at(counts, (np.ravel(data.train.targets), np.asarray(data.train.fold)), 1)
        assert counts.tolist() == [[20] * 3, [10] * 3]
        fold = np.asarray(data.train.fold)
        assert (fold[1:] == (fold[:-1] + 1) % 3).mean() < 0.6  # not in turn


def test_the_fingerprint_tells_the_division_into_folds():
    divided = [tw.load(TABLE, target="y", validation_folds=folds) for folds in (2, 3, 3)]
    prints = [data.fingerprint for data in (tw.load(TABLE, target="y"), *divided)]
    assert len(set(prints)) == 3 and prints[2] == prints[3]
