"""Failures that a new user meets: named at the first place, and repaired.

Each takes a minute or two: base, arms and repair are trained. One short one runs always.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from tests.insight.doctor.programs import (
    CERTAIN,
    blobs,
    crossed,
    examples,
    log_loss,
    net,
    squared,
    unit,
    wave,
)
from thalweg.insight.doctor.diagnose import diagnose

DIGITS = tw.load("digits")
HIDDEN = [None, 64, 64, None]


def raw_pixels():
    """Digits as they are in the file, 0 to 255 and never scaled."""
    inputs = {"train": DIGITS.train, "validation": DIGITS.validation}
    x = np.concatenate([np.asarray(split.inputs).reshape(split.count(), -1) for split in inputs.values()])
    y = np.concatenate([np.asarray(split.targets) for split in inputs.values()])
    x = x.astype(np.float32) / x.max() * 255
    target = np.eye(10, dtype=np.float32)[y]
    return examples({"x": x, "y": target})


def squared_distance(model, batch):
    return jnp.mean((jax.vmap(model)(batch["x"]) - batch["y"]) ** 2)


def shuffled():
    data = tw.load(blobs(600))
    random = np.random.default_rng(0)
    splits = {
        name: tw.Rows(split.inputs, random.permutation(np.asarray(split.targets)))
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, **splits)


FAILURES = {
    "sigmoid net of 12 layers": (
        ("hidden_activation_wrong", "depth_unnormalised"),
        lambda: (
            tw.Problem(tw.MLP([None, *[32] * 11, None], activation="sigmoid"), DIGITS),
            tw.Recipe(tw.SGD(lr=0.01), batch_size=32, epochs=10),
        ),
    ),
    "zero initialisation": (
        ("init_symmetric",),
        lambda: (
            tw.Problem(tw.MLP(HIDDEN, initialisation="zeros"), DIGITS),
            tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=10),
        ),
    ),
    "raw inputs of 0 to 255": (
        ("inputs_unscaled",),
        lambda: (
            tw.Problem(net([64, 32, 10]), raw_pixels(), objective=squared_distance),
            tw.Recipe(tw.Adam(lr=1e-3), batch_size=32, epochs=20),
        ),
    ),
    "targets of a million": (
        ("targets_unscaled",),
        lambda: (tw.Problem(net([3, 32, 1]), examples(wave(400, 1e6)), objective=squared), unit()),
    ),
    "weight decay of 100": (
        ("decay_strong",),
        lambda: (
            tw.Problem(tw.MLP(HIDDEN), DIGITS),
            tw.Recipe(tw.AdamW(lr=1e-3, weight_decay=100.0), batch_size=32, epochs=10),
        ),
    ),
    "dropout of 0.95": (
        ("dropout_high",),
        lambda: (
            tw.Problem(tw.MLP(HIDDEN, dropout=0.95), DIGITS),
            tw.Recipe(tw.Adam(lr=1e-3), batch_size=32, epochs=10),
        ),
    ),
    "batch norm with batches of two": (
        ("batchnorm_small_batch",),
        lambda: (
            tw.Problem(tw.MLP([None, 64, 64, 64, None], normalisation="batch"), DIGITS),
            tw.Recipe(tw.Adam(lr=0.01), batch_size=2, epochs=3),
        ),
    ),
    "a run that diverges": (
        ("lr_high",),
        lambda: (
            tw.Problem(tw.MLP(HIDDEN), DIGITS),
            tw.Recipe(tw.SGD(lr=100.0, momentum=0.9), batch_size=32, epochs=10),
        ),
    ),
    "a rate that is far too low": (
        ("lr_low",),
        lambda: (tw.Problem(tw.MLP(HIDDEN), DIGITS), tw.Recipe(tw.Adam(lr=1e-7), batch_size=32, epochs=10)),
    ),
}


# Seeds of the failing program reach 0.63 to 0.82, too far apart for a proof within ten trainings.
UNPROVEN = ("raw inputs of 0 to 255",)


@pytest.mark.long
@pytest.mark.parametrize("name", FAILURES)
def test_the_cause_comes_first_and_the_repair_trains(name):
    causes, program = FAILURES[name]
    diagnosis = diagnose(*program())
    assert diagnosis.causes[0].name in causes
    assert diagnosis.causes[0].proof in ("static", "proven") or name in UNPROVEN
    assert diagnosis.repair is not None
    assert diagnosis.cost.trainings <= 10
    problem, recipe = diagnosis.repaired
    assert (
        tw.train(problem, dataclasses.replace(recipe, seed=77), progress=False).result["stopped"]
        != "diverged"
    )


@pytest.mark.long
def test_shuffled_labels_are_named_and_not_repaired():
    diagnosis = diagnose(tw.Problem(net([6, 16, 4]), shuffled()), unit())
    assert diagnosis.causes[0].name == "labels_corrupted"
    assert diagnosis.repair is None


@pytest.mark.long
def test_a_softmax_over_one_unit_is_proven_by_training():
    diagnosis = diagnose(
        CERTAIN["head_softmax_single"](), tw.Recipe(tw.Adam(lr=0.02), batch_size=32, epochs=30)
    )
    assert diagnosis.causes[0].name == "head_softmax_single"
    assert diagnosis.repair is not None
    assert min(diagnosis.repair.after) > max(diagnosis.repair.before) + 0.2
    assert diagnosis.causes[0].evidence.interval[0] > 0
    assert diagnosis.to_dict()["repair"]["changes"][0]["fix"] == "set_output_activation"


def test_a_repair_that_becomes_certain_gets_a_loss_that_stays_finite():
    problem = CERTAIN["hidden_linear"]()  # its loss is a logarithm written by hand
    diagnosis = diagnose(problem, tw.Recipe(tw.Adam(lr=0.01), batch_size=16, epochs=60))
    assert [cause.name for cause in diagnosis.causes] == ["hidden_linear"]
    fixes = [change["fix"] for change in diagnosis.to_dict()["repair"]["changes"]]
    assert fixes == ["set_hidden_activation", "stabilise_loss"]


def test_a_run_that_diverges_once_it_is_certain_has_lost_what_it_knew():
    """Its last finite weights know all rows; the program itself is left with NaN."""
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    x[:, 0] += np.where(x[:, 0] > 0, 3, -3)
    rows = {"x": x, "y": (x[:, 0] > 0).astype(np.float32)}
    model = net([2, 64, 1], act=jax.nn.relu, out=jax.nn.sigmoid)
    problem = tw.Problem(model, examples(rows), objective=log_loss)
    diagnosis = diagnose(problem, tw.Recipe(tw.Adam(lr=0.03), batch_size=32, epochs=60))
    assert (diagnosis.causes[0].name, diagnosis.causes[0].proof) == ("loss_unstable", "proven")
    assert max(diagnosis.repair.before) < 0.7 and min(diagnosis.repair.after) > 0.95


@pytest.mark.long
def test_a_rate_beside_a_loss_that_breaks_is_proven_over_more_seeds():
    problem = tw.Problem(net([2, 16, 16, 1], out=jax.nn.sigmoid), examples(crossed(500)), objective=log_loss)
    diagnosis = diagnose(problem, tw.Recipe(tw.Adam(lr=3.0), batch_size=32, epochs=30))
    assert (diagnosis.causes[0].name, diagnosis.causes[0].proof) == ("lr_high", "proven")
    assert diagnosis.repair is not None
    assert diagnosis.cost.trainings <= 10


@pytest.mark.long
def test_two_faults_that_only_go_together_are_proven_together():
    random = np.random.default_rng(0)
    x = random.uniform(500, 4000, (400, 2)).astype(np.float32)
    y = (100 * x[:, 0] + 30 * x[:, 1] + 1000 * random.normal(size=400)).astype(np.float32)
    problem = tw.Problem(net([2, 16, 1], act=jax.nn.relu), examples({"x": x, "y": y}), objective=squared)
    diagnosis = diagnose(problem, tw.Recipe(tw.SGD(lr=0.01), batch_size=32, epochs=50))
    found = {(cause.name, cause.proof) for cause in diagnosis.causes}
    assert found == {("targets_unscaled", "proven"), ("inputs_unscaled", "proven")}
    assert diagnosis.repair is not None and min(diagnosis.repair.after) > 0.9


def test_labels_that_nothing_predicts_are_an_alarm():
    x = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 2, 400).astype(np.float32)
    problem = tw.Problem(net([3, 8, 1], out=jax.nn.sigmoid), examples({"x": x, "y": y}), objective=log_loss)
    diagnosis = diagnose(problem, tw.Recipe(tw.Adam(lr=1e-3), batch_size=64, epochs=3), budget=3)
    assert diagnosis.causes[0].name == "labels_corrupted"
    assert diagnosis.repair is None


@pytest.mark.long
def test_a_healthy_run_is_healthy_and_nothing_else():
    diagnosis = diagnose(tw.Problem(net([6, 16, 4]), tw.load(blobs())), unit())
    assert (diagnosis.healthy, diagnosis.symptoms, diagnosis.causes, diagnosis.repair) == (True, (), (), None)
