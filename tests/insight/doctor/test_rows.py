"""Labels, rows and columns that are wrong are named, and have a change of their own to be tried by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from tests.insight.doctor.programs import blobs, examples, net, unit, wave
from tests.insight.doctor.test_flow import seen, with_validation
from thalweg.insight.doctor.arms import Result
from thalweg.insight.doctor.checks import data, labels, several
from thalweg.insight.doctor.judge import doubtful, scale_of
from thalweg.insight.doctor.plan import planned


def crossed_entropy(model, batch):
    z = jax.vmap(model)(batch["x"])
    return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(z)), batch["y"]])


def rows(count, classes=4):
    x, y = blobs(count, classes)
    return {"x": x, "y": y.astype(np.int32)}


def program(tree, validation=0.2, width=None, objective=crossed_entropy, out=lambda z: z):
    made = tw.examples(tree, validation=validation, test=0.0)
    sizes = [np.shape(tree["x"])[1], 4, 4 if width is None else width]
    return tw.Problem(net(sizes, out=out), made, objective=objective)


def known(problem, **more):
    view = seen(problem, loss=False)
    return dataclasses.replace(view, references=scale_of(view.anatomy, trees=False).references, **more)


def only(check, view):
    found = list(check(view))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("shuffled", [True, False])
def test_training_labels_that_lost_their_rows_are_named_beside_sound_validation(shuffled):
    problem = program(rows(300))
    train = problem.data.train
    if shuffled:
        y = np.random.default_rng(0).permutation(np.asarray(train.inputs["y"]))
        train = tw.Rows({"x": train.inputs["x"], "y": y}, train.targets)
    problem = dataclasses.replace(problem, data=dataclasses.replace(problem.data, train=train), outputs=None)
    found = list(labels.corrupted_labels(known(problem)))
    assert [each.cause for each in found] == (["labels_corrupted"] if shuffled else [])
    assert all(each.weight > 0.8 for each in found)


def test_labels_that_neighbours_contradict_are_left_out():
    random, tree = np.random.default_rng(0), rows(400)
    wrong = random.random(400) < 0.35
    tree["y"] = np.where(wrong, (tree["y"] + random.integers(1, 4, 400)) % 4, tree["y"]).astype(np.int32)
    problem = program(tree)
    found = only(labels.corrupted_labels, known(problem))
    assert found.weight > 0.8
    kept = planned(unit(), found.moves[0]).build(problem)[0].data
    assert found.moves[0][0].change.fix == "fix_labels"
    assert 150 < kept.train.count() < 280  # of 320, of which 35 % are wrong
    assert kept.validation.count() == problem.data.validation.count()


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_that_overlap_are_no_corruption(classes):
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 3)).astype(np.float32)
    score = x[:, :1] * np.arange(classes) + 1.5 * random.normal(size=(400, classes))
    problem = program({"x": x, "y": score.argmax(axis=1).astype(np.int32)}, width=classes)
    assert list(labels.corrupted_labels(known(problem))) == []


def scored(value, view):
    return Result("base", (value,) * 3, (1.0,) * 3, (), (None,) * 3, 10, (), 0.25, view.references.best)


@pytest.mark.parametrize(("share", "value"), [(0.95, 0.5), (0.95, 0.98), (0.2, 0.5)])
def test_rows_held_out_tell_that_the_training_rows_are_too_few(share, value):
    x, y = tw_digits()
    problem = program({"x": x, "y": y}, validation=share, width=10)
    view = known(problem)
    found = list(labels.few_rows(dataclasses.replace(view, base=scored(value, view))))
    assert [each.cause for each in found] == (["data_too_little"] if (share, value) == (0.95, 0.5) else [])
    for each in found:
        built = planned(unit(), each.moves[0]).build(problem)[0].data
        assert built.train.count() > 5 * problem.data.train.count()
        judged = np.asarray(view.anatomy.held.x)[view.anatomy.held.different]
        assert {row.tobytes() for row in judged} == {
            row.tobytes() for row in np.asarray(built.validation.inputs["x"])
        }


def tw_digits():
    split = tw.load("digits").train
    return (
        np.asarray(split.inputs).reshape(split.count(), -1)[:600].astype(np.float32),
        np.asarray(split.targets)[:600].astype(np.int32),
    )


@pytest.mark.parametrize(("value", "named"), [(5e3, True), (0.5, False)])
def test_a_constant_column_is_named_where_it_is_large(value, named):
    tree = wave(60)
    tree["x"][:, 2] = value
    found = list(data.dead_inputs(known_values(tree)))
    assert [each.cause for each in found] == (["inputs_dead"] if named else [])
    assert not list(data.unscaled_inputs(known_values(tree)))
    for each in found:
        assert each.moves[0][0].change.fix == "drop_dead_inputs"


def known_values(tree):
    def squared(model, batch):
        return jnp.mean((jax.vmap(model)(batch["x"])[:, 0] - batch["y"]) ** 2)

    return seen(tw.Problem(net([3, 4, 1]), examples(tree), objective=squared), loss=False)


def test_a_column_that_lives_in_validation_alone_is_named():
    tree = wave(60)
    tree["x"][:, 2] = 0.0

    def squared(model, batch):
        return jnp.mean((jax.vmap(model)(batch["x"])[:, 0] - batch["y"]) ** 2)

    problem = tw.Problem(net([3, 4, 1]), examples(tree), objective=squared)
    alive = with_validation(problem, lambda held, train: {"x": held["x"] + np.float32([0, 0, 7])})
    assert only(data.dead_inputs, seen(alive, loss=False)).cause == "inputs_dead"
    assert list(data.dead_inputs(seen(problem, loss=False))) == []


@pytest.mark.parametrize("binary", [True, False])
def test_sigmoids_before_a_loss_of_the_right_class_alone_are_certain(binary):
    def loss(model, batch):
        p = jnp.clip(jax.vmap(model)(batch["x"]), 1e-7, 1 - 1e-7)
        y = jax.nn.one_hot(batch["y"], 4)
        others = (1 - y) * jnp.log(1 - p) if binary else 0.0
        return -jnp.mean(jnp.sum(y * jnp.log(p) + others, axis=1))

    view = seen(program(rows(60), objective=loss, out=jax.nn.sigmoid))
    found = {each.cause: each.certain for each in several.unnormalised(view)}
    assert found == ({} if binary else {"head_activation_wrong": True})


def test_a_run_that_passes_is_doubted_where_it_misses_a_tenth():
    view = known(program(rows(300)))
    scale = scale_of(view.anatomy, trees=False)
    assert doubtful(scored(scale.ceiling - 0.15 * (scale.ceiling - 0.25) - 0.06, view), scale)
    assert not doubtful(scored(scale.ceiling - 0.02, view), scale)
