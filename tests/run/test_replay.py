"""A diverged run is replayed from its last good checkpoint, to the update, op and example at fault."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from thalweg.core.errors import BadInput, DataError, RunFolderError
from thalweg.engine import plan
from thalweg.insight.tape.runs import tape_of_birth, tape_of_run
from thalweg.insight.tape.statements import statements
from thalweg.problem.data.load import load
from thalweg.problem.data.stream import stream
from thalweg.problem.models import LinearModel
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Plateau
from thalweg.run.replay import replay, saved_run
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

ROWS, BAD = 24, 3


class Weight(eqx.Module):
    w: jax.Array

    def __init__(self, key):
        self.w = jnp.ones(())


def shrinking_log(model, batch):
    """The weight falls with every update, until the logarithm's operand is negative for one example."""
    return jnp.log(model.w - batch["x"]) + 0.0 * model.w


def root(model, batch):
    """The loss stays finite where the slope of the root is not."""
    distance = jnp.maximum(model.w - 0.5, 0.0)
    return jnp.sqrt(distance) + 0.0 * batch["x"]


def problem(objective):
    x = np.zeros(ROWS, np.float32)
    x[BAD::5] = 0.4  # several, so that one is in the training split
    return Problem(Weight, {"x": x}, objective=objective)


def diverged(objective, folder, lr, every="3"):
    recipe = Recipe(SGD(lr=lr), batch_size=4, steps=60, shuffle="none")
    save = SaveOptions(folder, every=every)
    return train(problem(objective), recipe, keep=save)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return diverged(shrinking_log, tmp_path_factory.mktemp("log") / "run", 0.02)


def test_the_update_the_op_the_line_and_the_example_are_found(run):
    assert run.result["stopped"] == "diverged"
    recorded = tape_of_birth(saved_run(run.folder, problem(shrinking_log)))
    birth, about = recorded.nonfinite.birth, recorded.about
    assert about["step"] == run.result["steps"]
    assert birth is not None and birth.name == "log" and birth.kind == "NaN"
    assert birth.source is not None and birth.source.text.startswith("return jnp.log(model.w")
    x = problem(shrinking_log).data.train.inputs["x"]
    assert np.asarray(x)[about["example"]] == np.float32(0.4)
    assert any("replayed from" in each.text for each in statements(recorded))


def test_it_starts_at_a_checkpoint_and_reaches_the_same_weights(run):
    replayed = replay(saved_run(run.folder, problem(shrinking_log)))
    assert 0 < replayed.start <= replayed.step and replayed.start % 3 == 0
    np.testing.assert_array_equal(np.asarray(replayed.states.params.w)[0], np.asarray(run.params.w))
    assert replayed.reason == "loss"


def test_without_a_checkpoint_it_starts_at_the_beginning(tmp_path):
    run = diverged(shrinking_log, tmp_path / "run", 0.02, every="off")
    replayed = replay(saved_run(run.folder, problem(shrinking_log)))
    assert replayed.start == 0 and replayed.step == run.result["steps"]


def test_a_schedule_that_watches_the_loss_is_told_of_every_evaluation(tmp_path):
    def falling(model, batch):
        return 5 + shrinking_log(model, batch)

    schedule = Plateau(drop=0.9, patience=0, threshold=0.9)  # drops at every evaluation but the first
    recipe = Recipe(SGD(lr=2e-3), schedule=schedule, batch_size=4, steps=400, shuffle="none")
    run = train(problem(falling), recipe, keep=SaveOptions(tmp_path / "run", every="off"))
    rates = run.record.steps["learning_rate"].unique().sort().to_numpy()
    assert run.result["stopped"] == "diverged" and len(rates) > 1
    replayed = replay(saved_run(run.folder, problem(falling)))
    assert (replayed.start, replayed.step) == (0, run.result["steps"])
    final = load_file(run.folder / "final.safetensors")["w"]
    np.testing.assert_array_equal(np.asarray(replayed.states.params.w)[0], final)


def test_weights_that_a_finite_loss_spoils_are_found_in_the_backward_pass(tmp_path):
    run = diverged(root, tmp_path / "run", 1.0)
    assert run.result["stopped"] == "diverged"
    recorded = tape_of_birth(saved_run(run.folder, problem(root)))
    birth = recorded.nonfinite.birth
    assert recorded.about["reason"] == "weights" and recorded.about["step"] == run.result["steps"] - 1
    assert birth is not None and (birth.name, birth.phase) == ("sqrt", "backward")


def test_the_update_that_spoils_the_weights_is_found_long_before_a_loss_tells(tmp_path):
    """Only one batch of five asks for the weight, so that the losses of the next ones are finite as ever."""

    def seldom(model, batch):
        return jnp.where(batch["x"] > 0, root(model, batch), 0.0)

    x = np.where(np.arange(60) % 20, 0, 0.4).astype(np.float32)
    given = Problem(Weight, {"x": x}, objective=seldom)
    recipe = Recipe(SGD(lr=0.2), batch_size=4, steps=400, shuffle="none", clip_norm=1e9)
    run = train(given, recipe, keep=SaveOptions(tmp_path / "run", every="off"))
    spoilt = int(np.isnan(run.record.steps["gradient_norm"].to_numpy()).argmax())
    assert run.result["stopped"] == "diverged" and spoilt < run.result["steps"] - 2
    replayed = replay(saved_run(run.folder, given))
    assert (replayed.reason, replayed.step) == ("weights", spoilt)


def test_a_run_that_did_not_diverge_has_nothing_to_replay(tmp_path):
    recipe = Recipe(SGD(lr=1e-3), batch_size=4, steps=2)
    run = train(problem(root), recipe, keep=tmp_path / "run")
    with pytest.raises(BadInput, match="only a run that diverged"):
        replay(saved_run(run.folder, problem(root)))
    recorded = tape_of_run(saved_run(run.folder, problem(root)), example=3)
    assert recorded.value == pytest.approx(float(np.sqrt(float(run.params.w) - 0.5)), rel=1e-5)
    with pytest.raises(BadInput, match="must be an example"):
        tape_of_run(saved_run(run.folder, problem(root)), example=ROWS)


def swept(folder, **options):
    """A sweep of which the second lane diverges."""
    recipe = Recipe(SGD(lr=0.02), batch_size=4, steps=60, shuffle="none")
    return train(problem(shrinking_log), recipe.vary(lr=[1e-4, 0.02]), keep=folder, **options)


def test_a_lane_of_a_sweep_is_replayed_alone_with_its_bits(tmp_path, run):
    runs = swept(tmp_path / "sweep", strict=True)
    saved = saved_run(runs[1].folder, problem(shrinking_log))
    replayed = replay(saved)
    assert saved.alone and replayed.step == runs[1].result["steps"] == run.result["steps"]
    np.testing.assert_array_equal(np.asarray(replayed.states.params.w)[0], np.asarray(runs[1].params.w))
    first = tape_of_run(saved_run(runs[0].folder, problem(shrinking_log)))
    x = float(np.asarray(problem(shrinking_log).data.train.inputs["x"])[0])
    assert first.value == pytest.approx(float(np.log(float(runs[0].params.w) - x)), rel=1e-5)


def test_a_lane_that_was_computed_with_others_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "usable_cores", lambda: 1)  # both lanes in one shard
    runs = swept(tmp_path / "sweep")
    saved = saved_run(runs[1].folder, problem(shrinking_log))
    assert saved.origin.shard.layout == "batch" and not saved.alone
    recorded = tape_of_birth(saved)
    assert recorded.about["stopped_at"] == runs[1].result["steps"]
    assert any("Replayed alone" in each.text for each in statements(recorded))
    assert recorded.nonfinite.birth is not None and recorded.nonfinite.birth.name == "log"


def test_a_lane_on_a_fold_is_taped_on_its_own_rows(tmp_path):
    recipe = Recipe(SGD(lr=1e-3), batch_size=4, steps=2)
    x = np.arange(24, dtype=np.float32)[:, None]
    data = load((x, x[:, 0]), folds=3)
    runs = train(Problem(LinearModel([1, 1]), data), recipe, keep=tmp_path / "folds")
    for fold, each in enumerate(runs):
        recorded = tape_of_run(saved_run(each.folder, Problem(LinearModel([1, 1]), data)), example=1)
        inputs, _ = data.folds[fold].train.batch(jnp.array([1]))
        given = next(value for value in recorded.recording.inputs if value.name.startswith("inputs"))
        np.testing.assert_array_equal(np.asarray(given.array), np.asarray(inputs))


def test_a_sweep_is_refused_and_a_lane_named(tmp_path):
    runs = train(
        problem(root), Recipe(SGD(lr=1e-3), batch_size=4, steps=2).vary(seed=[0, 1]), keep=tmp_path / "s"
    )
    with pytest.raises(BadInput, match="not a sweep") as caught:
        saved_run(runs.folder, problem(root))
    assert str(runs[0].folder) in caught.value.hint


def batches(start):
    """Batches of four rows; the inputs of row k are k, but those of row 21 are not finite."""
    for number in range(start, 100):
        rows = np.arange(4 * number, 4 * number + 4, dtype=np.float32)
        yield np.where(rows == 21, np.inf, rows / 100)[:, None], rows / 100


def streamed(source=batches):
    return Problem(LinearModel([1, 1]), stream(source, task="regression"))


def test_a_run_on_a_stream_is_replayed_and_names_the_example(tmp_path):
    run = train(streamed(), Recipe(SGD(lr=1e-3), batch_size=4, steps=20), keep=tmp_path / "run")
    assert run.result["stopped"] == "diverged"
    about = tape_of_birth(saved_run(run.folder, streamed())).about
    assert about["step"] == 5
    recorded = tape_of_run(saved_run(run.folder, streamed()), example=9)
    given = next(value for value in recorded.recording.inputs if value.name.startswith("inputs"))
    np.testing.assert_array_equal(np.asarray(given.array), np.array([[np.float32(0.09)]]))
    with pytest.raises(BadInput, match="must be an example") as caught:
        tape_of_run(saved_run(run.folder, streamed()), example=400)
    assert "ended before batch 100" in caught.value.hint


def test_a_stream_that_gives_other_batches_is_named(tmp_path):
    run = train(streamed(), Recipe(SGD(lr=1e-3), batch_size=4, steps=20), keep=tmp_path / "run")

    def sound(start):
        return ((np.nan_to_num(x, posinf=0.21), y) for x, y in batches(start))

    with pytest.raises(RunFolderError, match="does not diverge") as caught:
        replay(saved_run(run.folder, streamed(sound)))
    assert "same batches each time" in caught.value.hint


def test_an_iterator_that_can_be_read_once_is_refused(tmp_path):
    run = train(streamed(), Recipe(SGD(lr=1e-3), batch_size=4, steps=20), keep=tmp_path / "run")
    with pytest.raises(DataError, match="read only once"):
        replay(saved_run(run.folder, streamed(batches(0))))
