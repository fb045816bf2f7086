"""Update rules and schedules made from functions: settings, records, what is refused."""

import colorsys
import copy
import pickle
import sys
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import thalweg as tw
from thalweg.core import imports
from thalweg.recipe import toml
from thalweg.recipe.optimizers import CustomRule
from thalweg.recipe.recipe import rate_path, with_rate


def branching(learning_rate, power=2, nesterov=False):
    """A factory that looks at the value of `power`."""
    return optax.sgd(learning_rate, momentum=0.9 if power > 1 else None, nesterov=nesterov)


def ramp(step, total, warmup=0.1):
    return jnp.minimum(1.0, (step + 1) / jnp.maximum(warmup * total, 1.0))


@pytest.fixture(scope="module")
def belief():
    return tw.Recipe(tw.Custom(optax.adabelief, learning_rate=1e-3, b1=0.8), epochs=2)


def test_a_factory_is_an_optimizer_whose_numbers_are_settings(belief):
    assert belief.optimizer.name == "optax:adabelief" and belief.optimizer.b1 == 0.8
    assert type(belief.optimizer).branching == ()
    assert rate_path(belief) == "optimizer.learning_rate"
    assert [lane.optimizer.b2 for lane in belief.vary(b2=[0.9, 0.99])] == [0.9, 0.99]
    assert [
        lane.optimizer.learning_rate for lane in belief.vary({"optimizer.learning_rate": "1e-3,1e-2"})
    ] == [
        1e-3,
        1e-2,
    ]
    assert with_rate(belief, 0.5).optimizer.learning_rate == 0.5


def test_the_numbers_reach_the_rule(belief):
    params = {"w": jnp.ones(3)}
    own = belief.update_rule({"w": "matrix"}, factor=0.5)
    theirs = optax.adabelief(5e-4, b1=0.8)
    grads = {"w": jnp.array([1.0, -2.0, 0.5])}
    for _ in range(2):
        mine, _ = own.update(grads, own.init(params), params)
        right, _ = theirs.update(grads, theirs.init(params), params)
        np.testing.assert_allclose(mine["w"], right["w"], rtol=1e-6)


def test_a_recipe_of_functions_is_written_read_and_pickled(belief):
    recipe = tw.Recipe(belief.optimizer, schedule=tw.CustomSchedule(ramp, warmup=0.3))
    for again in (toml.read(toml.write(recipe)), pickle.loads(pickle.dumps(recipe)), copy.deepcopy(recipe)):
        assert again == recipe and again.schedule.warmup == 0.3
    assert 'name = "optax:adabelief"' in toml.write(recipe)


def test_none_in_place_of_a_default_is_kept():
    rule = tw.Custom(optax.adafactor, 1e-2, clipping_threshold=None)
    assert toml.read(toml.write(tw.Recipe(rule))).optimizer.clipping_threshold is None


def test_a_number_that_is_branched_on_is_structure():
    rule = tw.Custom(branching, 0.1, power=3)
    kinds = {name: field.metadata["kind"] for name, field in type(rule).described().items()}
    assert type(rule).branching == ("power",)
    assert kinds == {"learning_rate": "number", "power": "constant", "nesterov": "constant"}
    assert tw.Custom(branching, 0.1, power=1) != rule


def test_a_number_that_is_read_silently_is_structure():
    def type_of(learning_rate, decay=0.5):
        return optax.sgd(learning_rate * (decay if isinstance(decay, float) else 2.0))

    assert type(tw.Custom(type_of)).branching == ("decay",)


def test_a_rule_without_a_rate_has_a_scale():
    rule = tw.Custom(optax.adam(1e-3))
    assert rule.rates == ("update_scale",) and rule.update_scale == 1.0
    params = {"w": jnp.ones(2)}
    half = rule.scaled(0.5).transform({"w": "matrix"})
    updates, _ = half.update({"w": jnp.ones(2)}, half.init(params), params)
    np.testing.assert_allclose(updates["w"], -5e-4, rtol=1e-4)


def test_a_schedule_free_rule_is_evaluated_at_its_average():
    rule = tw.Custom(optax.contrib.schedule_free_sgd, 0.1)
    own = rule.transform({"w": "matrix"})
    params = {"w": jnp.ones(2)}
    state = own.init(params)
    for _ in range(3):
        updates, state = own.update({"w": jnp.ones(2)}, state, params)
        params = optax.apply_updates(params, updates)
    average = optax.contrib.schedule_free_eval_params(state, params)
    np.testing.assert_array_equal(rule.evaluated(state, params)["w"], average["w"])
    assert not np.array_equal(average["w"], params["w"])


def test_names_are_those_of_the_shortest_module_and_of_what_is_computed():
    assert imports.name_of(optax.adabelief) == "optax:adabelief"
    assert imports.name_of(optax.contrib.muon) == "optax.contrib:muon"
    assert imports.name_of(branching) == "tests.recipe.test_functions:branching"

    def made(number):
        return lambda step, total: number

    assert imports.name_of(made(1.0)) == imports.name_of(made(1.0)) != imports.name_of(made(2.0))
    assert imports.digest(optax.adam(1e-3)) != imports.digest(optax.adam(1e-2))


def test_importing_what_a_file_names_must_be_allowed(monkeypatch, tmp_path):
    (tmp_path / "own_rules.py").write_text("import optax\ndef rule(lr=0.1): return optax.sgd(lr)\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = '[optimizer]\nname = "own_rules:rule"\nlr = 0.2\n'
    with pytest.raises(tw.RecipeError, match="must be allowed"):
        toml.read(text)
    assert "own_rules" not in sys.modules
    with imports.allowing():
        assert toml.read(text).optimizer.lr == 0.2
    assert isinstance(toml.read(text).optimizer, CustomRule)  # known by now
    assert isinstance(sys.modules.pop("own_rules"), ModuleType)


@pytest.mark.parametrize("first_to_close", [0, 1])
def test_blocks_of_two_threads_that_overlap_leave_nothing_allowed(first_to_close, monkeypatch):
    def found():
        return imports.find("colorsys:rgb_to_hsv", tw.RecipeError, "a rule")

    monkeypatch.setattr(imports, "_known", {})
    blocks = [imports.allowing(), imports.allowing()]
    for block in blocks:
        block.__enter__()
    blocks[first_to_close].__exit__(None, None, None)
    with imports.allowing(False):
        assert found() is colorsys.rgb_to_hsv  # the other block is open
    blocks[1 - first_to_close].__exit__(None, None, None)
    monkeypatch.setattr(imports, "_known", {})
    with pytest.raises(tw.RecipeError, match="must be allowed"):
        found()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "os:system"', "must be allowed"),
        ('name = "optax:adambelief"', "did you mean 'adabelief'"),
        ('name = "optax:GradientTransformation"', "must be that of a function"),
        ('name = "optax:_src.alias.adam"', "must be allowed"),
        ('name = "gone:rule#12345678"', "must be passed again"),
        ('name = "optax:adabelief"\nb9 = 1', "has no setting 'b9'"),
        ('name = "optax:global_norm"', "must return a rule"),
    ],
)
def test_names_that_are_refused(text, message):
    with pytest.raises(tw.RecipeError, match=message):
        toml.read(f"[optimizer]\n{text}\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: tw.Custom(optax.adam, learning_rate=optax.constant_schedule(1.0)),
            "a schedule is the recipe's",
        ),
        (lambda: tw.Custom(optax.adam, lr=1.0), "has no setting 'lr'"),
        (lambda: tw.Custom(optax.chain), "a name for each argument"),
        (lambda: tw.Custom(lambda lr: lr), "must return an optax"),
        (lambda: tw.Custom(lambda rule=0.1: optax.sgd(rule)), "cannot be named 'rule'"),
        (
            lambda: tw.Recipe(schedule=lambda step, total: 1.0 if step < 3 else 0.1),
            "must not branch in Python",
        ),
        (lambda: tw.Recipe(schedule=lambda step, total: step / (step - 3)), "finite factors"),
        (lambda: tw.Recipe(schedule=lambda step, total: 1.0 - step), "at least 0"),
        (lambda: tw.Recipe(schedule=lambda step, total: jnp.ones(3)), "one number"),
        (lambda: tw.Recipe(schedule=optax.constant_schedule(1.0)), "peak_rate"),
    ],
)
def test_functions_that_are_refused(make, message):
    with pytest.raises(tw.RecipeError, match=message):
        make()


def test_a_plot_shows_the_schedule_at_both_ends(tmp_path):
    figure = tw.plot(tw.WarmupCosine(warmup=100, unit="steps"), steps=1000)
    lines = str(figure).splitlines()
    assert lines[0] == "warmup-cosine (warmup 100, floor 0, unit steps), 1,000 updates"
    columns = [line.partition("│")[2] for line in lines if "│" in line]
    assert columns[0].strip()[0] in "▁▂▃▄▅▆▇█" and columns[0].index(columns[0].strip()) in (5, 6)  # step 100
    assert len(columns[-1]) > 50 > len(columns[0])
    assert figure.save(tmp_path / "s.svg").read_bytes().startswith(b"<svg")
    assert b"<figure" in figure.save(tmp_path / "s.html").read_bytes()


def test_a_plot_of_a_recipe_shows_its_rate():
    text = str(tw.plot(tw.Recipe(tw.SGD(lr=0.25), schedule=ramp, steps=50)))
    assert "0.250 │" in text and "learning rate over steps" in text and "49" in text
