"""The playground's engine: it trains as `train` does, in numbers that change without another compilation."""

import shlex
from itertools import pairwise

import jax
import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.core.errors import BadInput, DataError
from thalweg.engine.compilation import TRACES
from thalweg.insight.fit import RecipeRequest
from thalweg.insight.play.export import as_command, as_python, as_toml, command_words
from thalweg.insight.play.session import Playground
from thalweg.insight.play.settings import OPTIMIZER_NAMES, SCHEDULE_NAMES, Settings
from thalweg.insight.play.sources import drawn_source, named_source, read_source
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe

SMALL = Settings(hidden=(4,), steps=40, batch_size=32)
MANY = np.arange(300)
POINTS = [[0.1 * i, 0.2, 0] for i in range(6)] + [[0.1 * i, -0.4, 1] for i in range(6)]


@pytest.fixture(scope="module")
def session():
    """One playground for most tests: what they need is compiled once."""
    return Playground(named_source("moons"), SMALL)


@pytest.fixture
def play(session):
    for variant in session.variants[1:]:
        session.unpin(variant.number)
    session.change(vars(SMALL))
    session.reset()
    return session


def losses(play, updates=3):
    play.advance(updates)
    return [view.train_loss for view in play.views]


def bits(play):
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(play.weights()))


def test_it_trains_what_train_trains(play):
    """Batch by batch; only rounding differs, since programs here are compiled without optimisation."""
    play.advance(3)
    play.advance(7)
    run = tw.train(play.problem, tw.Recipe.from_dict(play.recipe.to_dict() | {"steps": 10}), progress=False)
    for own, other in zip(jax.tree.leaves(play.weights()), jax.tree.leaves(run.params), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)
    assert run.result["validation_loss"] == pytest.approx(play.views[0].validation_loss, rel=1e-4)


def test_a_reset_starts_again_bit_for_bit_whatever_the_length_of_a_frame_and_the_pins(play):
    play.advance(12)
    first, curve = bits(play), play.variants[0].history.values[-1]
    play.pin()
    play.change({"lr": 0.2})
    play.advance(5)
    play.change({"lr": SMALL.lr})
    play.reset()
    for _ in range(4):
        play.advance(3)
    assert bits(play) == first
    assert play.variants[0].history.values[-1][:2] == curve[:2]
    play.change({"seed": 1})
    play.advance(12)
    assert bits(play) != first


def test_numbers_and_pins_compile_nothing_and_structure_does(play):
    play.advance(1)
    before = dict(TRACES)
    assert not play.change({"lr": 0.5, "weight_decay": 0.01, "steps": 30})
    play.pin()
    play.advance(4)
    play.change({"seed": 5})
    play.pin()
    play.advance(2)
    play.unpin(play.variants[1].number)
    play.advance(1)
    assert dict(TRACES) == before
    assert play.change({"hidden": [3]}) and play.step == 0
    play.advance(1)
    assert TRACES["chunk"] == before["chunk"] + 1


def test_a_rate_of_zero_takes_effect_at_once(play):
    play.advance(2)
    weights = bits(play)
    play.change({"lr": 0.0})
    play.advance(2)
    assert bits(play) == weights


def test_a_pinned_variant_trains_on_as_it_was(play):
    play.advance(4)
    play.pin()
    play.change({"lr": 0.0})
    play.advance(6)
    now, pinned = play.views
    play.unpin(pinned.variant.number)
    play.change({"lr": SMALL.lr})
    play.reset()
    play.advance(10)
    assert play.views[0].train_loss == pinned.train_loss != now.train_loss
    assert pinned.variant.history.steps == [0, 4, 10]


def test_at_most_eight_are_pinned_and_all_start_again_together(play):
    for _ in range(8):
        play.pin()
    with pytest.raises(BadInput, match="8 variants can be pinned"):
        play.pin()
    assert len(set(losses(play))) == 1
    play.change({"activation": "relu"})
    assert play.step == 0 and len(play.views) == 9
    assert len(set(losses(play))) == 2
    with pytest.raises(BadInput, match="no such variant"):
        play.unpin(0)


def test_it_ends_at_its_length_and_where_it_diverges(play):
    play.advance(1000)
    assert play.step == play.length == 40 and play.finished
    play.change({"steps": 41})
    assert not play.finished
    play.change({"optimizer": "sgd", "lr": 10.0, "initialisation": "normal(1)", "activation": "relu"})
    play.change({"weight_decay": 1.0})
    play.advance(40)
    assert play.views[0].stopped and play.finished and play.variants[0].settings.lr == 10.0
    play.change({"lr": 0.01})
    play.reset()
    assert not play.finished


def test_gradient_norms_are_those_of_the_last_recorded_update(play):
    play.advance(1)
    play.advance(1)
    tape = play.tape()
    norms = play.variants[0].history.values[-1][2:]
    assert [np.linalg.norm(gradient) for gradient in tape.gradients.values()] == pytest.approx(
        norms, rel=1e-4
    )
    play.advance(2)
    assert play.tape() is None


def test_the_curve_of_a_long_run_is_thinned(play):
    history = play.variants[0].history
    for step in range(1, 1201):
        history.append(step, [1.0, 2.0])
    assert len(history.steps) <= 512 and history.steps[0] == 0 and history.steps[-1] == 1200


def test_a_surface_is_descended_exactly_and_from_any_start():
    play = Playground(named_source("bowl"), Settings.for_source(named_source("bowl")).changed({"lr": 0.1}))
    play.advance(1)
    assert play.views[0].outputs == pytest.approx([3 - 0.1 * 6, 2 - 0.1 * 16])
    assert play.views[0].train_loss == pytest.approx(2.4**2 + 4 * 0.4**2)
    before = dict(TRACES)
    assert play.change({"start": [1.0, 1.0]}) and play.step == 0
    play.advance(1)
    assert play.variants[0].history.path == [[1.0, 1.0], pytest.approx([0.8, 0.2])]
    assert TRACES["chunk"] == before["chunk"]


def test_the_users_own_table_in_its_unit(tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(50, 9, 80), "b": rng.normal(0, 2, 80)})
    file = tmp_path / "own.csv"
    frame.with_columns(kind=pl.Series(["x", "y"] * 40), price=frame["a"] * 2).write_csv(file)
    options = {"target": "kind", "drop": ("price",)}
    source = read_source(str(file), options)
    play = Playground(source, SMALL)
    low, high = play.scene.window[:2]
    assert source.classes == ("x", "y") and low < frame["a"].min() < frame["a"].max() < high
    assert play.scene.names == ("a", "b")
    assert "--target kind --drop price" in as_command(SMALL, source)
    namespace = {}
    exec(as_python(SMALL, source).rpartition("run = ")[0], namespace)  # our own text
    assert namespace["data"].fingerprint == source.data.fingerprint
    values = read_source(str(file), {"target": "price", "drop": ("kind", "b")})
    picture = Playground(values, SMALL)
    drawn = picture.scene.picture(picture.problem, picture.views[0].outputs)["value"]
    assert values.kind == "curve" and 60 < drawn.mean() < 140


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"a": range(60), "b": ["u", "v"] * 30, "y": [0, 1] * 30}, {"target": "y"}, "two numeric columns"),
        ({name: range(60) for name in "abc"} | {"y": [0, 1] * 30}, {"target": "y"}, "numeric columns"),
        ({"a": range(60), "y": ["u", "v"] * 30}, {"target": "y"}, "two numeric columns"),
        (
            {"a": MANY * 0.7, "b": MANY % 7 * 1.1, "y": [f"w{i % 99}" for i in MANY]},
            {"target": "y"},
            "tell 6 classes apart",
        ),
        ({"a": range(60)}, {}, "needs a target"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_drawn_is_refused(tmp_path, columns, options, message):
    pl.DataFrame({name: list(values) for name, values in columns.items()}).write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match=message):
        read_source(str(tmp_path / "t.csv"), options)


@pytest.mark.parametrize("name", ["bowll", "digits", "missing.csv"])
def test_what_is_no_source_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        read_source(name, {})


def test_drawn_points_are_learned():
    source = drawn_source(POINTS)
    assert source.data.train.count() + source.data.validation.count() == len(POINTS)
    assert Playground(source, SMALL).scene.window == (-1.1, 1.1, -1.1, 1.1)


@pytest.mark.parametrize(
    "points",
    [
        None,
        [],
        POINTS[:6],
        [[0, 0, 0]] * 1001,
        [[9.0, 0, 0], *POINTS],
        [["0", 0, 0], *POINTS],
        [[float("nan"), 0, 0], *POINTS],
        [[0, 0, 0.5], *POINTS],
        [[0, 0, 99], *POINTS],
        [[0, 0], *POINTS],
    ],
)
def test_other_points_are_refused(points):
    with pytest.raises(BadInput):
        drawn_source(points)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -1), ("lr", float("nan")), ("lr", True), ("lr", "0.1"), ("hidden", [0]), ("hidden", [1000]),
        ("hidden", [8] * 7), ("hidden", 8), ("hidden", [True]), ("batch_size", 33), ("batch_size", True),
        ("optimizer", "l-bfgs"), ("steps", 0), ("steps", 2.5), ("steps", 10**9), ("seed", -1),
        ("momentum", 1.0), ("dropout", 0.99), ("start", [1]), ("start", "ab"), ("start", [1e9, 0]),
        ("activation", ["tanh"]),
        ("no_such", 1),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_and_change_nothing(play, name, value):
    with pytest.raises(BadInput):
        play.change({"lr": 0.3, name: value} if name != "lr" else {name: value})
    assert play.settings == SMALL


def test_the_recipe_leaves_as_toml_python_and_a_command_and_is_the_same():
    source, shown = named_source("moons"), set()
    for number, optimizer in enumerate(OPTIMIZER_NAMES):
        schedule = SCHEDULE_NAMES[number % len(SCHEDULE_NAMES)]
        changes = {"optimizer": optimizer, "schedule": schedule, "lr": 0.003, "seed": number, "steps": 77}
        settings = SMALL.changed(changes | {"batch_size": (8, "full")[number % 2], "weight_decay": 0.01})
        recipe = toml.write(settings.recipe())
        assert toml.write(toml.read(as_toml(settings))) == recipe
        line = next(line for line in as_python(settings, source).splitlines() if line.startswith("recipe"))
        namespace = {"tw": tw}
        exec(line, namespace)  # our own text
        assert toml.write(namespace["recipe"]) == recipe
        words = shlex.split(as_command(settings, source))
        assert words == command_words(settings, source) and words[:3] == ["thalweg", "fit", "moons"]
        pairs = list(pairwise(words))
        given = {name: value for name, value in pairs if name in ("--steps", "--seed", "--model")}
        sets = [value for name, value in pairs if name == "--set"]
        request = RecipeRequest(None, sets, None, None, int(given["--steps"]), int(given["--seed"]))
        assert toml.write(request.for_data(source.data)) == recipe
        assert given["--model"] == settings.architecture().spec()
        shown.add(schedule)
    assert shown == set(SCHEDULE_NAMES)


def test_the_command_of_a_surface_and_of_no_hidden_layers():
    bowl = named_source("bowl")
    command = as_command(Settings.for_source(bowl), bowl)
    assert command.startswith("thalweg landscape bowl --steps 100 --start=3,2 --set optimizer=sgd")
    assert "--model linear" in as_command(SMALL.changed({"hidden": []}), named_source("moons"))
    assert isinstance(SMALL.recipe(), Recipe)
