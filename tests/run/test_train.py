"""`train`: why runs stop, which weights count, what is in the folder, and that a seed determines a run."""

import json
import signal
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from jaxtyping import Array

from tests.made import Net, blobs, line, net, problem
from thalweg.core import imports
from thalweg.core.errors import ModelError, RecipeError, RunFolderError
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine, WarmupStableDecay
from thalweg.recipe.toml import read as read_recipe
from thalweg.run.folder import weights
from thalweg.run.folder.log import Log
from thalweg.run.folder.record import read
from thalweg.run.progress import Silent
from thalweg.run.restore import restore
from thalweg.run.resume import Change, resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

RECIPE = Recipe(AdamW(lr=0.01), schedule=WarmupCosine(), batch_size=16, epochs=8, clip_norm=1.0)


def test_it_learns():
    result = train(problem(), RECIPE).result
    assert result["stopped"] == "epochs" and result["epochs"] == 8
    assert result["test_metric"]["value"] > 0.9 > result["baseline"]["value"]
    assert result["test_loss"] < 0.4


def test_steps_instead_of_epochs():
    result = train(problem(), Recipe(batch_size=16, steps=30)).result
    assert (result["stopped"], result["steps"]) == ("steps", 30)


def test_a_regression_reports_in_its_own_unit():
    data = line(noise=0.1)
    result = train(Problem(MLP([1, 16, 1]), data), Recipe(AdamW(lr=0.02), batch_size=20, epochs=60)).result
    # The noise alone gives an RMSE of 0.1; the target's standard deviation is about 3.
    assert result["test_metric"]["name"] == "rmse"
    assert 0.05 < result["test_metric"]["value"] < 0.3 < result["baseline"]["value"]
    assert result["test_metrics"]["rmse"] == pytest.approx(result["test_metric"]["value"], rel=1e-4)
    assert result["test_metrics"]["r2"] > 0.98


def test_divergence_is_data_and_says_when():
    result = train(problem(), Recipe(SGD(lr=1e6), batch_size=16, epochs=8)).result
    assert result["stopped"] == "diverged"
    assert result["stopped_at"]["step"] == result["steps"] < 10


def test_patience_keeps_the_best_weights():
    recipe = Recipe(AdamW(lr=0.05), batch_size=16, epochs=400, patience=3)
    run = train(problem(), recipe)
    assert run.result["stopped"] == "patience" and run.result["weights"] == "best"
    losses = run.record.evaluations.filter(pl.col("part") == "validation")
    best = losses.row(int(np.argmin(losses["loss"].to_numpy())), named=True)
    assert run.result["best"]["step"] == best["step"] < run.result["steps"]
    assert run.result["validation_loss"] == pytest.approx(best["loss"], rel=1e-6)


def test_without_a_validation_split_the_last_weights_count():
    data = blobs()
    alone = type(data)(**{**data.__dict__, "validation": None})
    result = train(Problem(net, alone), RECIPE).result
    assert result["weights"] == "final" and result["validation_loss"] is None


def test_the_same_seed_gives_the_same_bits_on_disk(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(problem(), Recipe.from_dict(RECIPE.to_dict() | {"seed": seed}), keep=tmp_path / name)
    for file in ("final.safetensors", "best.safetensors", "steps.parquet", "layers.parquet", "test.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    clockless = [read(tmp_path / name).evaluations.drop("seconds") for name in "ab"]
    assert clockless[0].equals(clockless[1])
    first, other = (weights.load(tmp_path / name / "final.safetensors") for name in "ac")
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_a_folder_holds_all_of_a_run(tmp_path):
    run = train(problem(), RECIPE, keep=tmp_path / "run")
    record = read(tmp_path / "run")
    assert read_recipe(tmp_path / "run" / "recipe.toml") == RECIPE
    assert record.result == json.loads((tmp_path / "run" / "result.json").read_text()) == run.result
    assert record.problem["model"]["parameters"] == 6 * 8 + 8 + 8 * 3 + 3
    assert record.environment["jax"] and record.environment["layout"] == "map"
    assert record.steps.height == run.result["steps"] and record.steps["loss"].is_finite().all()
    assert record.steps["gradient_norm"].is_finite().all()  # clipping computes it at every step
    assert set(record.layers["path"]) == {f"mlp.layers.{i}.{n}" for i in (0, 1) for n in ("weight", "bias")}
    assert (record.layers.filter(pl.col("step") == 0)["update_norm"] > 0).all()
    assert not list((tmp_path / "run").glob("*.part")) and not list((tmp_path / "run").glob("*.arrows"))


def test_per_layer_figures_are_those_of_the_weights(tmp_path):
    ready = net(jax.random.key(3))
    run = train(Problem(ready, blobs()), Recipe(SGD(lr=0.0), batch_size=16, steps=30), keep=tmp_path / "run")
    first = run.record.layers.filter((pl.col("step") == 0) & (pl.col("path") == "mlp.layers.0.weight"))
    assert first["weight_norm"][0] == pytest.approx(
        float(np.linalg.norm(ready.mlp.layers[0].weight)), rel=1e-5
    )
    assert first["update_norm"][0] == 0 and first["gradient_norm"][0] > 0


def test_a_ready_module_is_the_start():
    ready = net(jax.random.key(3))
    run = train(Problem(ready, blobs()), Recipe(SGD(lr=0.0), batch_size=16, steps=1))
    assert isinstance(run.model, Net)
    assert np.array_equal(run.model.mlp.layers[0].weight, ready.mlp.layers[0].weight)


def test_an_occupied_folder_is_refused_and_kept(tmp_path):
    train(problem(), RECIPE, keep=tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    before = (tmp_path / "run" / "final.safetensors").read_bytes()
    with pytest.raises(RunFolderError, match="must not hold a run already"):
        train(problem(), RECIPE, keep=tmp_path / "run")
    assert (tmp_path / "run" / "final.safetensors").read_bytes() == before
    train(
        problem(),
        Recipe.from_dict(RECIPE.to_dict() | {"seed": 5}),
        keep=SaveOptions(tmp_path / "run", force=True),
    )
    assert (tmp_path / "run" / "final.safetensors").read_bytes() != before
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_the_next_free_number_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert (
            train(problem(), Recipe(batch_size=16, steps=1), keep=SaveOptions()).folder.name
            == f"blobs-{number}"
        )


def test_a_warmup_longer_than_the_run_is_told_and_one_of_fractions_refused():
    task, told = problem(), []

    class Noting(Silent):
        def note(self, text):
            told.append(text)

    train(
        task,
        Recipe(schedule=WarmupCosine(warmup=50, unit="steps"), batch_size=16, steps=2),
        progress=Noting(),
    )
    assert any("warmup takes 50 updates, and the run makes 2" in line for line in told)
    with pytest.raises(RecipeError, match="warmup and decay must fit into the run"):
        train(task, Recipe(schedule=WarmupStableDecay(warmup=0.5, decay=0.6), batch_size=16, steps=10))


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(RecipeError, match="batch_size must be at most"):
        train(problem(), Recipe(batch_size=1000))


def test_a_run_that_is_read_back_predicts_the_same(tmp_path):
    data = blobs()
    run = train(Problem(MLP([6, 8, 3]), data), RECIPE, keep=tmp_path / "run")
    again = restore(tmp_path / "run")
    rows = np.asarray(data.test.inputs)
    assert np.array_equal(run.predict(rows)["prediction"], again.answers(rows)["prediction"])
    assert list(run.predict(rows)) == ["prediction", "probability_0", "probability_1", "probability_2"]
    assert np.mean(run.predict(rows)["prediction"] == data.test.targets) == run.result["test_metric"]["value"]


class Scaled(eqx.Module):
    """A slope, one number for all inputs, behind a layer."""

    layer: eqx.nn.Linear
    slope: Array

    def __init__(self, key):
        self.layer, self.slope = eqx.nn.Linear(6, 3, key=key), jnp.float32(0.5)

    def __call__(self, x):
        return self.layer(x) * self.slope


def test_a_single_number_among_the_weights_is_read_back(tmp_path):
    data = blobs()
    run = train(Problem(Scaled, data), RECIPE, keep=tmp_path / "run")
    rows = np.asarray(data.test.inputs)
    ours, again = run.predict(rows), restore(tmp_path / "run", model=Scaled).answers(rows)
    assert run.params.slope.shape == () and np.array_equal(ours["probability_1"], again["probability_1"])


class Drawing(eqx.Module):
    """Keeps a typed key in its state."""

    layer: eqx.nn.Linear
    index: eqx.nn.StateIndex

    def __init__(self, key):
        self.layer, self.index = (
            eqx.nn.Linear(6, 3, key=key),
            eqx.nn.StateIndex((jax.random.key(3), jnp.int32(0))),
        )

    def __call__(self, x, state):
        drawn, count = state.get(self.index)
        return self.layer(x), state.set(self.index, (drawn, count + 1))


def has_key(run):
    leaves = [leaf for leaf in jax.tree.leaves(run.model_state) if eqx.is_array(leaf)]
    return any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves)


def test_a_key_in_a_models_state_is_kept(tmp_path):
    """In memory, in a folder, and in a run that resumes from a checkpoint."""
    data = blobs()
    run = train(Problem(Drawing, data), RECIPE, keep=SaveOptions(tmp_path / "run"))
    assert has_key(run)
    rows = np.asarray(data.test.inputs)
    again = restore(tmp_path / "run", model=Drawing).answers(rows)
    assert np.array_equal(run.predict(rows)["probability_1"], again["probability_1"])

    plain = Recipe(AdamW(lr=0.01), batch_size=16, epochs=3)
    whole = train(Problem(Drawing, data), replace(plain, epochs=6))
    train(Problem(Drawing, data), plain, keep=SaveOptions(tmp_path / "half", every="5"))
    longer = resume(tmp_path / "half", Problem(Drawing, data), change=Change(epochs=6))
    assert has_key(longer) and longer.result["test_loss"] == whole.result["test_loss"]


def test_a_model_of_the_callers_own_is_passed_to_be_read_back(tmp_path, monkeypatch):
    run = train(problem(), RECIPE, keep=tmp_path / "run")
    assert restore(tmp_path / "run").weights == run.result["weights"]  # this process knows the function
    monkeypatch.setattr(imports, "_known", {})
    with pytest.raises(ModelError, match="must be allowed"):
        restore(tmp_path / "run")
    module = train(Problem(net(jax.random.key(0)), problem().data), RECIPE, keep=tmp_path / "module")
    with pytest.raises(ModelError, match="custom model class"):
        restore(module.folder)
    assert restore(tmp_path / "run", model=net).weights == run.result["weights"]
    with pytest.raises(ModelError, match="must be the one that the weights were saved from"):
        restore(tmp_path / "run", model=MLP([6, 4, 3]))


def test_fine_tuning_takes_over_what_fits(tmp_path):
    first = train(Problem(MLP([6, 8, 3]), blobs()), RECIPE, keep=tmp_path / "first")
    frozen = Recipe(SGD(lr=0.0), batch_size=16, steps=1)
    second = train(Problem(MLP([6, 8, 5]), blobs(classes=5)), frozen, init=tmp_path / "first")
    ours, theirs = weights.named_arrays(first.params), weights.named_arrays(second.params)
    same = {
        name
        for name in ours
        if ours[name].shape == theirs[name].shape and np.array_equal(ours[name], theirs[name])
    }
    assert same == {name for name in ours if ours[name].shape[0] == 8}  # the hidden layer, not the head
    with pytest.raises(ModelError, match="must share layers"):
        train(Problem(MLP([6, 7, 4]), blobs(classes=4)), frozen, init=tmp_path / "first")


def test_a_custom_loss_and_metric():
    def absolute(outputs, targets):
        return abs(outputs - targets).mean(axis=-1)

    run = train(
        Problem(MLP([1, 8, 1]), line(), loss=absolute, metric=absolute), Recipe(batch_size=20, steps=50)
    )
    assert run.record.problem["loss"] == "absolute" and np.isfinite(run.result["test_metric"]["value"])


def test_progress_receives_the_end_of_a_run_that_raises(monkeypatch):
    results = []

    class Listener(Silent):
        def finish(self, result):
            results.append(dict(result))

    monkeypatch.setattr("thalweg.run.session.shard.finalize", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(problem(), RECIPE, progress=Listener())
    assert results == [{}]


@pytest.mark.parametrize(("long", "expected"), [(0.0, True), (float("inf"), False)])
def test_postponed_work_is_done_during_long_chunks_only(monkeypatch, long, expected):
    calls = []
    monkeypatch.setattr("thalweg.engine.dispatch.LONG_CHUNK", long)
    monkeypatch.setattr("thalweg.engine.dispatch.idle_work", lambda: calls.append(None))
    train(problem(), Recipe(batch_size=16, steps=2))
    assert bool(calls) == expected


def test_an_interrupted_run_is_readable(tmp_path):
    class Impatient(Silent):
        def update(self, status):
            if status.step >= 30:
                signal.raise_signal(signal.SIGINT)

    recipe = Recipe(AdamW(lr=0.01), batch_size=16, epochs=5000)
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    run = train(problem(), recipe, keep=tmp_path / "run", progress=Impatient())
    assert run.result["stopped"] == "interrupted" and 0 < run.result["steps"] < 5000 * 14
    assert restore(tmp_path / "run", model=net).record.result["stopped"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before


def test_the_log_of_a_killed_run_is_read_up_to_its_torn_tail(tmp_path):
    train(problem(), RECIPE, keep=tmp_path / "run")
    folder, log = tmp_path / "run", Log(tmp_path / "run", ["w"])
    for step in range(3):
        log.evaluation(lane=0, step=step, epoch=1.0, part="validation", loss=0.5, metric=0.9, seconds=1.0)
    for name in ("evaluations.parquet", "run.json"):  # which says that the table is at rest
        (folder / name).unlink()
    assert read(folder, unverified=True).evaluations["step"].to_list() == [0, 1, 2]
    stream = folder / "evaluations.arrows"
    stream.write_bytes(stream.read_bytes()[:-40])
    assert read(folder, unverified=True).evaluations["step"].to_list() == [0, 1]
    stream.write_bytes(b"")
    assert read(folder, unverified=True).evaluations.height == 0
    log.close()
