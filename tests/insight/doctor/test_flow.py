"""What stops a gradient, outweighs a loss, or leaks: named by probing, and left alone where sound."""

import dataclasses
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from tests.insight.doctor.programs import crossed, examples, log_loss, net, squared, unit, wave
from thalweg.insight.doctor import answer, full
from thalweg.insight.doctor.anatomy import opened
from thalweg.insight.doctor.arms import Result, effect, paired, proves
from thalweg.insight.doctor.case import STRONG, Case, Trial
from thalweg.insight.doctor.checks import data, flow, head, labels, model
from thalweg.insight.doctor.diagnose import _overrides
from thalweg.insight.doctor.finding import Finding, View
from thalweg.insight.doctor.judge import Scale, scale_of
from thalweg.insight.doctor.moves import adam, matched, rate, scaled_loss, unshared
from thalweg.insight.doctor.plan import planned
from thalweg.insight.doctor.probe import probed
from thalweg.insight.doctor.profile import profiled
from thalweg.insight.doctor.usual import relearned, unpenalised

ROWS = 60


def seen(problem, *, loss=True):
    anatomy = opened(problem, unit())
    profile = profiled(anatomy) if loss else None
    return View(anatomy, probed(anatomy, anatomy.built), profile, None, 100, 10)


def causes(check, view):
    return {each.cause: each.certain for each in check(view)}


def values(out=lambda z: z, act=jnp.tanh, objective=squared):
    return tw.Problem(net([3, 4, 1], act=act, out=out), examples(wave(ROWS)), objective=objective)


def rounded(model, batch):
    return jnp.mean((jnp.round(jax.vmap(model)(batch["x"])[:, 0]) - batch["y"]) ** 2)


def step(z):
    return jax.lax.stop_gradient((z > 0).astype(jnp.float32))


@pytest.mark.parametrize("out", [jnp.round, jax.lax.stop_gradient, jax.nn.relu, lambda z: z])
def test_an_output_without_a_slope_is_certain_and_others_are_not(out):
    flat = out in (jnp.round, jax.lax.stop_gradient)
    found = causes(flow.stopped_at_the_end, seen(values(out), loss=False))
    assert found == ({"head_activation_wrong": True} if flat else {})


@pytest.mark.parametrize("act", [step, jax.nn.relu])
def test_a_step_between_layers_is_suspected(act):
    found = causes(flow.stopped_between, seen(values(act=act), loss=False))
    assert found == ({"hidden_activation_wrong": False} if act is step else {})


@pytest.mark.parametrize("objective", [rounded, squared])
def test_a_loss_without_a_slope_is_certain(objective):
    found = causes(flow.stopped_in_the_loss, seen(values(objective=objective)))
    assert found == ({"loss_mismatch": True} if objective is rounded else {})


def broadcast(model, batch):
    """A column of outputs minus a row of targets: every output meets every target."""
    return jnp.mean((jax.vmap(model)(batch["x"]) - batch["y"]) ** 2)


@pytest.mark.parametrize("objective", [broadcast, squared])
def test_a_loss_in_which_every_output_meets_every_target_mixes_rows(objective):
    found = causes(head.unstable_loss, seen(values(objective=objective)))
    assert found == ({"loss_unstable": False} if objective is broadcast else {})


def test_a_softmax_over_the_rows_is_an_axis_that_is_wrong():
    """Of a single row it is 1 whatever the outputs, which is no loss that ignores them."""

    def over_rows(model, batch):
        logs = jax.nn.log_softmax(jax.vmap(model)(batch["x"]), axis=0)
        return -jnp.mean(logs[jnp.arange(len(logs)), batch["y"]])

    rows = {"x": wave(ROWS)["x"], "y": np.arange(ROWS) % 4}
    view = seen(tw.Problem(net([3, 4, 4]), examples(rows), objective=over_rows))
    assert causes(head.unstable_loss, view) == {"loss_unstable": False}
    assert causes(head.unfit_loss, view) == {}


@pytest.mark.parametrize("width", [2, 4])
def test_as_many_units_as_rows_are_enough(width):
    corners = {"x": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), "y": np.float32([0, 1, 1, 0])}
    table = tw.examples(corners, validation=0.0, test=0.0)
    view = seen(tw.Problem(net([2, width, 1]), table, objective=squared), loss=False)
    after_training = dataclasses.replace(view, base=Result("base", (0.5,), (0.5,), (), (None,), 3, ()))
    assert causes(model.capacity, after_training) == ({"capacity_low": False} if width == 2 else {})


def test_a_change_that_keeps_the_loss_finite_and_is_the_repair_is_proven(monkeypatch):
    view, move = seen(values()), halved()
    good, bad = (Result("", (each,) * 3, (each,) * 3, (), (None,) * 3, 3, ()) for each in (1.0, 0.0))
    bench = SimpleNamespace(seeds=(0, 1, 2), trainings=0, run=lambda arms, steps, seeds: {arms[0][0]: good})
    case = Case(view, bench, Scale(0.0, 1.0, 0.0, None), 10.0, base=bad)
    monkeypatch.setattr(full, "length", lambda *_: 1.0)
    trial = Trial(Finding("loss_unstable", 0.9, "", ((move,),)), (move,), "loss_unstable.0")
    full.confirm(case, [trial], (move,), (move,))
    assert (case.accepted, case.settled) == ((move,), ())
    assert answer._repairs(case, trial)


def halved():
    """Return a change of the loss."""
    return scaled_loss("stabilise_loss", 0.5, "return jnp.mean(losses)")


def penalty(model):
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


@pytest.mark.parametrize("strength", [10.0, 1e-3])
def test_a_penalty_that_drowns_the_loss_is_suspected(strength):
    view = seen(values(objective=lambda model, batch: squared(model, batch) + strength * penalty(model)))
    assert causes(flow.penalised, view) == ({"decay_strong": False} if strength > 1 else {})


def test_objectives_are_changed_in_their_gradient_alone():
    model = net([3, 4, 1])(jax.random.key(0))
    batch = {name: jnp.asarray(leaf) for name, leaf in wave(8).items()}
    gradient = jax.tree.leaves(eqx.filter_grad(squared)(model, batch))

    def punished(model, batch):
        return squared(model, batch) + 10.0 * penalty(model)

    free = unpenalised(punished)
    np.testing.assert_allclose(free(model, batch), punished(model, batch), rtol=1e-6)
    other = relearned(rounded, lambda z, y: (z[:, 0] - y) ** 2, 1)
    np.testing.assert_allclose(other(model, batch), squared(model, batch), rtol=1e-6)
    for changed in (free, other):
        for new, old in zip(jax.tree.leaves(eqx.filter_grad(changed)(model, batch)), gradient, strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5)


def test_outputs_that_mean_the_logarithm_of_the_target_are_no_values():
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    counts = examples({"x": x, "y": np.random.default_rng(1).poisson(np.exp(x[:, 0])).astype(np.float32)})

    def poisson(model, batch):
        z = jax.vmap(model)(batch["x"])[:, 0]
        return jnp.mean(jnp.exp(z) - batch["y"] * z)

    assert opened(tw.Problem(net([3, 4, 1]), counts, objective=poisson), unit()).kind == "none"
    assert opened(tw.Problem(net([3, 4, 1]), counts, objective=squared), unit()).kind == "values"


def test_a_few_rows_do_not_put_targets_out_of_reach():
    corners = {"x": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), "y": np.float32([0, 1, 1, 0])}
    table = tw.examples(corners, validation=0.0, test=0.0)
    sound = seen(tw.Problem(net([2, 4, 1], out=jax.nn.sigmoid), table, objective=squared))
    assert causes(head.out_of_reach, sound) == {}
    assert sound.ends() == pytest.approx((0.0, 1.0), abs=1e-6)
    bent = tw.examples(corners | {"y": np.float32([-1, 1, 1, -1])}, validation=0.0, test=0.0)
    wrong = seen(tw.Problem(net([2, 4, 1], out=jax.nn.relu), bent, objective=squared))
    assert causes(head.out_of_reach, wrong) == {"head_activation_wrong": True}


def test_several_classes_for_a_logarithm_of_one_output_need_more_units():
    three = crossed(ROWS)
    three["y"] = (np.arange(ROWS) % 3).astype(np.float32)
    view = seen(tw.Problem(net([2, 4, 1], out=jax.nn.sigmoid), examples(three), objective=log_loss))
    assert causes(head.few_outputs, view) == {"head_units_wrong": True}
    assert causes(head.out_of_reach, view) == {"head_activation_wrong": False}


def test_curves_of_lanes_that_end_early_are_averaged_over_what_all_have():
    curves = (np.array([4.0, 2.0, 1.0]), np.array([2.0, 2.0]))
    result = Result("base", (0.0, 0.0), (0.0, 0.0), curves, (None, None), 3, ())
    np.testing.assert_array_equal(result.mean_curve, [3.0, 2.0])


def scored(*values, ceiling=0.9):
    return Result("", values, values, (), (None,) * len(values), 3, (), constant=0.6, ceiling=ceiling)


def test_coming_from_the_rare_class_to_the_common_one_recovers_nothing():
    base = scored(0.4, 0.6, 0.4)
    assert effect(scored(0.6, 0.6, 0.6), base) == 0.0
    assert paired(scored(0.6, 0.6, 0.6), base) == pytest.approx((0.0, 0.0))
    assert effect(scored(0.9, 0.9, 0.9), base) == pytest.approx(1.0)
    assert proves(scored(0.9, 0.88, 0.9), base)


@pytest.mark.parametrize("rate", [0.01, 1.0])
def test_units_that_die_at_a_high_rate_are_its_symptom(rate):
    view = seen(values(act=jax.nn.relu), loss=False)
    dead = dataclasses.replace(view.probe, layers=(dataclasses.replace(view.probe.layers[0], dead=1.0),))
    recipe = tw.Recipe(tw.Adam(lr=rate), batch_size=32, epochs=20)
    anatomy = dataclasses.replace(view.anatomy, recipe=recipe)
    found = next(iter(model.dying(dataclasses.replace(view, after=dead, anatomy=anatomy))))
    assert found.cause == "relu_dying" and (found.weight >= STRONG) == (rate < 0.1)


@pytest.mark.parametrize("slope", [1.0, 0.0])
def test_a_weak_signal_beside_much_noise_is_no_corruption(slope):
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 4)).astype(np.float32)
    y = (slope * x[:, 0] + 2 * random.normal(size=400)).astype(np.float32)
    view = seen(tw.Problem(net([4, 4, 1]), examples({"x": x, "y": y}), objective=squared), loss=False)
    known = dataclasses.replace(view, references=scale_of(view.anatomy, trees=False).references)
    assert causes(labels.corrupted_labels, known) == ({} if slope else {"labels_corrupted": False})


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_large_weights_multiply_and_large_biases_do_not(part):
    def made(key):
        layers = net([3, 4, 1], act=jax.nn.relu)(key)
        first = layers.layers[0]
        larger = eqx.tree_at(lambda each: getattr(each, part), first, replace_fn=lambda a: 80 * a - 8)
        return eqx.tree_at(lambda each: each.layers[0], layers, larger)

    view = seen(tw.Problem(made, examples(wave(ROWS)), objective=squared), loss=False)
    assert causes(model.start, view) == ({"init_large": False} if part == "weight" else {})


def test_a_rate_and_an_optimizer_with_its_own_are_no_pair():
    recipe = tw.Recipe(tw.SGD(lr=0.003), batch_size=32, epochs=20)
    changes = rate(recipe, 10.0), adam(recipe, 0.01), halved()
    assert changes[0].change.to == 0.03
    faster, other, loss = (Trial(Finding("lr_low", 0.3, ""), (move,), "") for move in changes)
    assert _overrides(faster, other) and _overrides(other, faster)
    assert not _overrides(faster, loss) and not _overrides(other, loss)


def hinge(model, batch):
    return jnp.mean(jnp.maximum(0.0, 1 - batch["y"] * jax.vmap(model)(batch["x"])[:, 0]))


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_label_that_a_loss_does_not_hear_is_in_the_wrong_form(low):
    rows = crossed(ROWS)
    rows["y"] = np.where(rows["y"] > 0, 1.0, low).astype(np.float32)
    view = seen(tw.Problem(net([2, 4, 1]), examples(rows), objective=hinge))
    assert causes(head.label_form, view) == ({"label_encoding_wrong": True} if low == 0 else {})


def test_a_loss_of_which_half_is_missing_is_another_fault():
    def half(model, batch):
        return -jnp.mean(batch["y"] * jnp.log(jax.vmap(model)(batch["x"])[:, 0]))

    view = seen(tw.Problem(net([2, 4, 1], out=jax.nn.sigmoid), examples(crossed(ROWS)), objective=half))
    assert causes(head.label_form, view) == {"loss_mismatch": True}


def test_a_column_that_is_the_target_leaks_and_windows_of_a_line_do_not():
    rows = wave(ROWS)
    leaking = rows | {"x": np.concatenate([rows["x"][:, :2], rows["y"][:, None]], axis=1)}
    view = seen(tw.Problem(net([3, 4, 1]), examples(leaking), objective=squared), loss=False)
    assert causes(data.leaking, view) == {"data_leakage": True}
    line = np.lib.stride_tricks.sliding_window_view(np.arange(ROWS, dtype=np.float32), 4)
    windows = examples({"x": line[:, :3].copy(), "y": line[:, 3].copy()})
    sound = seen(tw.Problem(net([3, 4, 1]), windows, objective=squared), loss=False)
    assert causes(data.leaking, sound) == {}


def with_validation(problem, change):
    held = problem.data.validation
    held = tw.Rows({**held.inputs, **change(held.inputs, problem.data.train.inputs)}, held.targets)
    return dataclasses.replace(problem, data=dataclasses.replace(problem.data, validation=held), outputs=None)


def test_rows_of_both_splits_are_a_leak_and_are_taken_out():
    def copied(held, train):
        return {name: np.concatenate([leaf[:6], train[name][:6]]) for name, leaf in held.items()}

    leaking = with_validation(values(), copied)
    view = seen(leaking, loss=False)
    assert causes(data.leaking, view) == {"data_leakage": True}
    move = next(iter(data.leaking(view))).moves[0][0]
    assert planned(unit(), (move,)).build(leaking)[0].data.validation.count() == 6
    assert causes(data.leaking, seen(values(), loss=False)) == {}
    assert unshared(view.anatomy, np.zeros(12, bool)).change.fix == "fix_split"


def test_validation_of_another_scale_is_brought_to_that_of_training():
    off = with_validation(values(), lambda held, train: {"x": held["x"] * 16})
    view = seen(off, loss=False)
    assert causes(data.shifted, view) == {"train_eval_mismatch": True}
    again = planned(unit(), (matched(view.anatomy),)).build(off)[0].data
    new, old = again.validation.inputs["x"], again.train.inputs["x"]
    np.testing.assert_allclose(new.std(axis=0), np.asarray(old).std(axis=0), rtol=1e-3)
    np.testing.assert_array_equal(again.validation.inputs["y"], off.data.validation.inputs["y"])
