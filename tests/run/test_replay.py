"""A diverged run is replayed from its last good checkpoint, to the update, op and example at fault."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from thalweg.core.errors import BadInput
from thalweg.insight.tape.runs import tape_of_birth, tape_of_run
from thalweg.insight.tape.statements import statements
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


def test_a_run_that_did_not_diverge_has_nothing_to_replay(tmp_path):
    recipe = Recipe(SGD(lr=1e-3), batch_size=4, steps=2)
    run = train(problem(root), recipe, keep=tmp_path / "run")
    with pytest.raises(BadInput, match="only a run that diverged"):
        replay(saved_run(run.folder, problem(root)))
    recorded = tape_of_run(saved_run(run.folder, problem(root)), example=3)
    assert recorded.value == pytest.approx(float(np.sqrt(float(run.params.w) - 0.5)), rel=1e-5)
    with pytest.raises(BadInput, match="must be an example"):
        tape_of_run(saved_run(run.folder, problem(root)), example=ROWS)


def test_a_sweep_is_refused(tmp_path):
    recipes = Recipe(SGD(lr=1e-3), batch_size=4, steps=2).vary(seed=[0, 1])
    runs = train(problem(root), recipes, keep=tmp_path / "sweep")
    with pytest.raises(BadInput, match="single run"):
        saved_run(runs.folder, problem(root))
