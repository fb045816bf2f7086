"""Objectives: equal to the same loss in plain form and to a loop by hand; refused where they cannot work."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import thalweg as tw
from tests.made import blobs, net
from thalweg.core.errors import DataError, ModelError, RecipeError
from thalweg.engine import evaluation_batches
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Run
from thalweg.run.train import train

ROWS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
SHORT = Recipe(tw.SGD(lr=0.05, momentum=0.9), batch_size=16, epochs=2)


def crossed(model, batch):
    inputs, classes = batch
    logits = jax.vmap(model)(inputs)
    right = logits.argmax(-1) == classes
    return optax.softmax_cross_entropy_with_integer_labels(logits, classes), {"accuracy": right}


def averaged(model, batch):
    losses, figures = crossed(model, batch)
    return losses.mean(), {"accuracy": figures["accuracy"].mean()}


def refused(objective, data=ROWS, model=net, **more):
    with pytest.raises((ModelError, DataError)) as caught:
        Problem(model, data, objective=objective, **more)
    return str(caught.value)


@pytest.fixture(scope="module")
def plain() -> Run:
    return train(Problem(net, blobs()), SHORT)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_same_loss_as_an_objective_trains_to_the_same_weights(plain, accumulate):
    problem = Problem(
        net, blobs(), objective=crossed, metric=tw.Metric("accuracy", None, higher_is_better=True)
    )
    run = train(problem, Recipe(SHORT.optimizer, batch_size=16, epochs=2, accumulate=accumulate))
    for own, other in zip(jax.tree.leaves(run.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=2e-6)
    for name in ("validation_loss", "test_loss", "train_loss"):  # over short last batches, too
        assert run.result[name] == pytest.approx(plain.result[name], rel=1e-4)
    assert run.result["test_metric"] == pytest.approx(plain.result["test_metric"])
    batches = run.record.figures.filter(part="batch")
    assert batches.height == run.result["steps"] and set(batches["name"]) == {"accuracy"}
    assert batches["value"].is_between(0, 1).all() and batches["value"].n_unique() > 1


def test_one_number_for_a_batch_sees_whole_batches_only():
    problem = Problem(net, blobs(), objective=averaged)
    count = problem.data.train.count()
    assert count % 16  # there would be a short batch
    run = train(problem, SHORT)
    assert run.result["steps"] == 2 * (count // 16)
    # In an evaluation the rows that are left count by their number.
    reference = Problem(net, blobs(), objective=crossed)
    exact = train(reference, Recipe(SHORT.optimizer, batch_size=16, epochs=2, last_batch="drop"))
    assert run.result["test_loss"] == pytest.approx(exact.result["test_loss"], rel=1e-5)
    assert run.result["test_figures"] == pytest.approx(exact.result["test_figures"], rel=1e-5)
    with pytest.raises(RecipeError, match="accumulate must divide batch_size"):
        train(problem, Recipe(batch_size=16, accumulate=3))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_each_of_several_figures_is_logged_under_its_name_and_step(accumulate):
    def told(model, batch):
        losses, _ = crossed(model, batch)
        return losses, {"same": losses, "twice": 2 * losses, "less": losses - 1}

    problem = Problem(net, blobs(), objective=told)
    assert problem.data.train.count() % 16, "the last batch of an epoch is short"
    record = train(problem, dataclasses.replace(SHORT, accumulate=accumulate)).record
    by_name = {name: rows.sort("step") for (name,), rows in record.figures.group_by("name")}
    losses = record.steps.sort("step")
    for name, expected in (
        ("same", losses["loss"]),
        ("twice", 2 * losses["loss"]),
        ("less", losses["loss"] - 1),
    ):
        batches = by_name[name].filter(part="batch")
        assert batches["step"].to_list() == losses["step"].to_list()
        np.testing.assert_allclose(batches["value"], expected, rtol=1e-5, atol=1e-6)


def test_an_evaluation_takes_the_rows_that_memory_holds(monkeypatch):
    seen, usual = [], train(Problem(net, blobs(), objective=crossed), SHORT)

    def counted(model, batch):
        seen.append(len(batch[1]))
        return crossed(model, batch)

    monkeypatch.setattr(evaluation_batches, "MOST_BYTES", 4 * 8 * 40)  # net has 8 units: 40 rows, so 32
    few = train(Problem(net, blobs(), objective=counted), SHORT)
    assert few.result["test_loss"] == pytest.approx(usual.result["test_loss"], rel=1e-5)
    assert blobs().test.count() == 45 and {32, 13} <= set(seen) and 45 not in seen


def test_noise_differs_from_step_to_step_and_an_evaluation_repeats_its_own():
    def noisy(model, batch, key):
        drawn = jax.random.normal(key)
        return jnp.mean(jax.vmap(model)(batch) ** 2), {"drawn": drawn}

    problem = Problem(net, ROWS, objective=noisy)
    assert problem.noisy
    run = train(problem, Recipe(tw.SGD(lr=0.01), batch_size=16, epochs=60))
    figures = run.record.figures
    assert figures.filter(part="batch")["value"].n_unique() == run.result["steps"]
    evaluated = figures.filter(part="validation")["value"]
    assert len(evaluated) > 1 and evaluated.n_unique() == 1


def test_dropout_is_off_and_a_state_is_carried_in_an_evaluation():
    class Normed(eqx.Module):
        linear: eqx.nn.Linear
        norm: eqx.nn.BatchNorm
        dropout: eqx.nn.Dropout

        def __init__(self, key):
            self.linear = eqx.nn.Linear(6, 3, key=key)
            self.norm = eqx.nn.BatchNorm(3, "batch", mode="batch")
            self.dropout = eqx.nn.Dropout(0.5)

    def objective(model, batch, key, state):
        def one(x, state, key):
            normed, state = model.norm(model.linear(x), state)
            return model.dropout(normed, key=key), state

        mapped = jax.vmap(one, in_axes=(0, None, 0), out_axes=(0, None), axis_name="batch")
        out, state = mapped(batch, state, jax.random.split(key, len(batch)))
        return jnp.mean((out - 1) ** 2, axis=1), {"zeros": jnp.mean(out == 0, axis=1)}, state

    run = train(Problem(Normed, ROWS, objective=objective), Recipe(tw.SGD(lr=0.1), batch_size=16, epochs=4))
    assert run.record.figures.filter(part="batch")["value"].mean() > 0.3
    assert run.result["test_figures"] == {"zeros": 0.0}
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(eqx.filter(run.model_state, eqx.is_array)))


class Point(eqx.Module):
    at: jax.Array

    def __init__(self, key):
        self.at = jax.random.normal(key, (2,))


def test_models_in_turn_equal_a_loop_by_hand():
    def pulls(model, batch):
        return jnp.sum((model.first.at - model.second.at + batch.mean()) ** 2)

    def pushes(model, batch):
        return jnp.sum((model.second.at * model.first.at - batch.mean(0)[:2]) ** 2), {
            "far": model.second.at[0]
        }

    problem = Problem(
        models={"first": Point, "second": Point},
        data=tw.examples(ROWS, validation=0, test=0),
        objectives={"first": pulls, "second": pushes},
        alternate={"second": 2, "first": 1},
    )
    recipe = Recipe(tw.AdamW(lr=0.05, weight_decay=0.1), batch_size=12, epochs=3, shuffle="none")
    run = train(problem, recipe)

    start = train(problem, Recipe(tw.SGD(lr=0.0), batch_size=12, steps=1)).params
    rule = optax.adamw(0.05, weight_decay=0.0)
    params = {name: start[name].at for name in ("first", "second")}
    states = {name: rule.init(params[name]) for name in params}
    losses = {
        "first": lambda own, p, b: jnp.sum((own - p["second"] + b.mean()) ** 2),
        "second": lambda own, p, b: jnp.sum((own * p["first"] - b.mean(0)[:2]) ** 2),
    }
    logged = []
    for step in range(15):
        name = ("second", "second", "first")[step % 3]
        batch = ROWS[step % 5 * 12 :][:12]
        loss, grad = jax.value_and_grad(losses[name])(params[name], params, batch)
        change, states[name] = rule.update(grad, states[name], params[name])
        params = params | {name: optax.apply_updates(params[name], change)}
        logged.append(float(loss))
    assert run.result["steps"] == 15
    np.testing.assert_allclose(run.record.steps["loss"], logged, rtol=1e-4)
    for name in params:
        np.testing.assert_allclose(run.params[name].at, params[name], rtol=1e-4, atol=1e-5)
    far = run.record.figures.filter(part="batch", name="far")["value"].is_nan()
    assert far.to_list() == [step % 3 == 2 for step in range(15)]


def test_a_tree_keeps_its_types_and_is_standardised_only_where_asked():
    rng = np.random.default_rng(1)
    tree = {
        "image": rng.integers(0, 255, (40, 4)).astype(np.uint8),
        "kind": np.arange(40),
        "flag": np.arange(40) % 2 == 0,
        "size": rng.normal(100, 5, (40, 2)),
        "yes": (np.arange(40) % 2).astype(float),
    }
    data = tw.examples(tree, normalise="standardise")
    types = {name: leaf.dtype for name, leaf in data.train.inputs.items()}
    assert types == {"image": np.uint8, "kind": np.int32, "flag": bool, "size": np.float32, "yes": np.float32}
    assert np.abs(data.train.inputs["size"].mean(0)).max() < 1e-5
    assert set(np.unique(data.train.inputs["yes"])) == {0, 1}
    raw = tw.examples(tree)
    assert raw.train.inputs["size"].min() > 50
    kinds = np.concatenate([raw.splits[name].inputs["kind"] for name in ("train", "validation", "test")])
    assert sorted(kinds) == list(range(40))
    again = tw.examples(tree, normalise={"size": "standardise"}).preparation
    assert type(again).from_dict(again.to_dict()) == again


def test_examples_that_are_equal_stay_in_one_split():
    tree = {"x": np.repeat(np.arange(60.0), 2), "y": np.repeat(np.arange(60), 2)}
    splits = tw.examples(tree).splits
    seen = [set(np.asarray(split.inputs["y"]).tolist()) for split in splits.values()]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": ROWS, "b": ROWS[:50]}, "the same number of examples, at least 1; got a: 60, b: 50"),
        ({"a": np.zeros((0, 2))}, "the same number of examples, at least 1"),
        ({"a": ROWS * np.nan}, "must be finite numbers"),
        ({"a": np.array(["x", "y"])}, "a must be numbers"),
        ({"a": np.array([2**40, 1])}, "integers of a must fit 32 bits"),
    ],
)
def test_a_tree_that_cannot_be_used_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        tw.examples(data)


def test_what_normalise_names_must_exist():
    with pytest.raises(DataError, match="must name leaves of the data; got aa"):
        tw.examples({"a": ROWS}, normalise={"aa": "standardise"})
    with pytest.raises(DataError, match="normalise must be none or standardise; got standardize"):
        tw.examples({"a": ROWS}, normalise="standardize")


KEPT = []


def leaking(model, batch):
    KEPT.append(jax.vmap(model)(batch))
    return (KEPT[0].sum() * KEPT[-1]).mean()


def square(model, batch):
    return jnp.mean(jax.vmap(model)(batch) ** 2)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            lambda model, batch: jax.vmap(model)(batch),
            r"one for each row of the batch; got float32 \(1009, 3\)",
        ),
        (lambda model, batch: "loss", "fails on a batch"),
        (lambda model, batch: jnp.sum(batch > 0), r"one floating-point number.*got int32 \(\)"),
        (lambda model, batch: square(model, batch) if batch.sum() > 0 else 0.0, "must not branch in Python"),
        (
            lambda model, batch: square(model, batch) + ROWS.mean(1).mean() * jnp.sum(batch + ROWS),
            "fails on a batch",
        ),
        (lambda model, batch: jnp.mean(batch), "must depend on the model's parameters"),
        (lambda model, batch: square(model, batch) * np.random.rand(), "must give the same"),
        (leaking, "must not keep arrays of one call"),
        (lambda model, batch: (square(model, batch), 3), "must give its figures in a dictionary"),
        (
            lambda model, batch: (square(model, batch), {"a": batch}),
            r"every figure must be one number.*got a: float32",
        ),
        (lambda model: 0.0, r"must be a function of \(model, batch\).*got <lambda>\(model\)"),
        (lambda a, b, c, d, e: 0.0, "must be a function of"),
        ("mse", "must be a function of"),
        (lambda model, batch, key, state: square(model, batch), r"must give \(loss, figures, state\)"),
    ],
)
def test_an_objective_that_cannot_work_is_refused_before_anything_is_compiled(objective, message):
    assert re.search(message, refused(objective), re.DOTALL), refused(objective)


def test_the_message_names_the_line_that_fails():
    def wrong(model, batch):
        outputs = jax.vmap(model)(batch)
        return jnp.mean(outputs @ batch)

    line = wrong.__code__.co_firstlineno + 2
    assert f"(wrong, line {line})" in refused(wrong)


def test_what_does_not_go_with_an_objective_is_refused():
    assert "an objective or loss, not both" in refused(square, loss="mse")
    assert "one of: loss, accuracy" in refused(crossed, blobs(), metric="acuracy")
    assert "an objective needs a model" in refused(square, model=None)
    pair = {"models": {"a": Point, "b": Point}, "data": ROWS}
    for given, message in (
        ({"objectives": {"a": square}}, "objectives must have an entry for each model"),
        ({"objectives": {"a": square, "c": square}}, "objectives must name the models"),
        ({"objectives": {"a": square, "b": square}, "alternate": {"a": 0, "b": 1}}, "from 1 to 1000"),
        ({"objectives": {"a": square, "b": square}, "model": net}, "a model and an objective, or several"),
    ):
        with pytest.raises(ModelError, match=r"objectives|models|objective"):
            Problem(**pair, **given)
        with pytest.raises(ModelError) as caught:
            Problem(**pair, **given)
        assert message in str(caught.value) or "fails on a batch" in str(caught.value), caught.value


def test_a_rule_that_needs_the_whole_model_is_refused_for_models_in_turn():
    def pulls(model, batch):
        return jnp.sum(model.a.at**2) + 0 * batch.sum()

    def pushes(model, batch):
        return jnp.sum(model.b.at**2) + 0 * batch.sum()

    problem = Problem(models={"a": Point, "b": Point}, data=ROWS, objectives={"a": pulls, "b": pushes})
    for rule in (tw.LBFGS(), tw.ScheduleFreeSGD()):
        with pytest.raises(RecipeError, match=r"without a line search|whole batches|full"):
            train(problem, Recipe(rule, batch_size="full", steps=3))


def test_a_problem_in_turn_can_be_copied_and_a_group_freezes_one_model():
    def fits(model, batch):
        return jnp.sum((model.a.at - batch.mean()) ** 2) + 0 * model.b.at[0]

    def follows(model, batch):
        return jnp.sum((model.b.at - model.a.at) ** 2) + 0 * batch.sum()

    problem = Problem(models={"a": Point, "b": Point}, data=ROWS, objectives={"a": fits, "b": follows})
    copied = dataclasses.replace(problem, data=problem.data)
    assert copied.objective == problem.objective
    recipe = Recipe(tw.Adam(lr=0.1), batch_size=8, steps=6)
    first = train(problem, dataclasses.replace(recipe, optimizer=tw.SGD(lr=0.0))).params
    frozen = (tw.ParamGroup("a.*", frozen=True),)
    run = train(copied, dataclasses.replace(recipe, groups=frozen))
    np.testing.assert_array_equal(run.params.a.at, first.a.at)
    assert (np.asarray(run.params.b.at) != np.asarray(first.b.at)).all()
    with pytest.raises(RecipeError, match="every group must have a parameter"):
        train(problem, dataclasses.replace(recipe, groups=(tw.ParamGroup("c.*", frozen=True),)))
    with pytest.raises(ModelError, match="names that Python allows"):
        Problem(models={"a b": Point}, data=ROWS, objectives={"a b": fits})
