"""Races: equal budgets, shared seeds, one stop for all seeds; what cannot be raced is refused."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import thalweg as tw
from tests.doors.process import called
from thalweg.core.errors import BadInput
from thalweg.insight.race import race as racing
from thalweg.insight.race.space import Space
from thalweg.view.race.page import render
from thalweg.view.race.text import show
from thalweg.view.text import plain

RECIPE = tw.Recipe(epochs=2, batch_size=32, patience=1)


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(160, 4)).astype(np.float32)
    return tw.Problem(tw.LinearModel(), tw.load((inputs, (inputs @ [1, -1, 2, 0] > 0).astype(int))))


@pytest.fixture(scope="module")
def trained():
    """The recipes of every call of `train` in the race of `result`, in order."""
    return []


@pytest.fixture(scope="module")
def result(problem, trained):
    honest = racing.train

    def noted(problem, recipes, **settings):
        trained.append(recipes)
        return honest(problem, recipes, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(racing, "train", noted)
        return racing.race(problem, RECIPE, optimizers="adamw,sgd", budget=10, progress=False)


def test_every_contestant_computes_the_same_updates(result):
    first, second = result.contestants
    assert first.updates == second.updates == 10 * result.steps
    assert len(first.tried) == len(second.tried) == result.tuning == 5
    assert len(first.values) == len(second.values) == result.seeds == 5


def test_a_seed_is_one_training_that_train_repeats(problem, result):
    """The figure of a seed is that of the tuned recipe with this seed, at the stop found in tuning."""
    one = result.contestants[0]
    run = tw.train(problem, replace(one.recipe, seed=RECIPE.seed + 2), progress=False)
    history = run.record.evaluations.filter(part="validation", step=one.stop)
    assert history["loss"][0] == pytest.approx(one.values[2], rel=1e-4)
    assert one.recipe.patience is None  # all seeds stop at the same update


def test_the_verdict_is_in_words_and_on_a_page(result):
    text = plain(show(result))
    assert "adamw" in text and ("cannot tell" in text or "is better than" in text)
    assert "5 to tune" in text and all(len(line) <= 80 for line in text.splitlines())
    page = render(result, {})
    assert "Pair by pair" in page and "Sensitivity to the rate" in page
    assert json.loads(json.dumps(result.to_dict()))["contestants"][0]["tried"]


def test_a_space_depends_on_the_optimizer_alone():
    def settings(batch_size):
        space = Space.of(tw.Recipe(tw.SGD(), batch_size=batch_size))
        near = space.near(space.rates(5)[3], np.full((1, 3), 0.25))
        return [each.optimizer.to_dict() for each in [*space.rates(5), *near]]

    assert settings(8) == settings(64)
    rates = [each["lr"] for each in settings(8)[:5]]
    assert rates[2] == tw.SGD().lr and rates[-1] / rates[0] == pytest.approx(1024)
    assert all(each["momentum"] > 0 and each["weight_decay"] > 0 for each in settings(8))


def entrant(*curves, stop=1, tried=()):
    arrays = [curve if curve is None else np.array(curve) for curve in curves]
    return racing._Entrant("a", None, None, list(tried), stop=stop, curves=arrays, steps=np.array([5, 10]))


def held(by_metric):
    return racing._Running(None, SimpleNamespace(name="accuracy", higher_is_better=True), by_metric)


def test_lanes_that_diverge_count_as_the_worst_figure():
    """Of a loss that is the largest, of an accuracy the smallest."""
    one = entrant([3.0, 1.0], None)
    assert racing._values(one, [one], held(False)) == [1.0, 3.0]
    one, other = entrant([0.3, 0.6], None), entrant([0.2, 0.9])
    assert racing._values(one, [one, other], held(True)) == [0.6, 0.2]


def test_the_best_that_was_tried_and_when_it_was_best():
    tried = [("a", np.array([0.5, 0.7])), ("b", np.array([0.9, 0.6])), ("c", None)]
    assert racing._lowest(entrant(tried=tried), held(True)) == ("b", 0)
    assert racing._lowest(entrant(tried=tried), held(False)) == ("a", 0)
    assert racing._lowest(entrant(tried=tried[2:]), held(True)) is None


def test_all_contestants_reach_the_target_which_is_the_worst_at_its_stop():
    good, bad = entrant([0.7, 0.9]), entrant([0.4, 0.8])
    assert racing._target([good, bad], held(True)) == 0.8
    assert racing._target([good, bad], held(False)) == 0.9
    steps = np.array([5, 10])
    assert racing._first_at(np.array([0.7, 0.9]), steps, 0.8, held(True)) == 10
    assert racing._first_at(np.array([0.7, 0.9]), steps, 0.8, held(False)) == 5
    assert racing._first_at(np.array([0.7, 0.75]), steps, 0.8, held(True)) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"budget": 9}, "at least 10"),
        ({"optimizers": ["adamw"]}, "at least two"),
        ({"optimizers": ["adamw", "adamw"]}, "at least two"),
        ({"optimizers": ["adamw", "sgdd"]}, "did you mean 'sgd'"),
        ({"optimizers": ["sgd", "l-bfgs"]}, "whole training split"),
        ({"optimizers": ["adamw", "sgd"], "models": ["linear", "mlp:8"]}, "not both"),
        ({"models": ["linear", "mpl:8"]}, "did you mean"),
    ],
)
def test_what_cannot_be_raced_is_refused(problem, arguments, words):
    with pytest.raises(BadInput, match=words):
        racing.race(problem, RECIPE, progress=False, **arguments)


def test_a_race_needs_a_validation_split(problem):
    data = replace(problem.data, validation=None)
    with pytest.raises(BadInput, match="validation split"):
        racing.race(replace(problem, data=data), RECIPE, progress=False)


def test_the_command_writes_a_folder_and_refuses_before_training(tmp_path):
    options = ("--models", "linear,mlp:4", "--budget", "10", "--epochs", "1", "-q", "--out", "r")
    ended = called("race", "iris", *options, at=tmp_path)
    assert ended.returncode == 0, ended.stderr
    content = json.loads((tmp_path / "r" / "race.json").read_text())
    assert {each["name"] for each in content["contestants"]} == {"linear:4-3", "mlp:4-4-3"}
    assert (tmp_path / "r" / "race.html").is_file() and (tmp_path / "r" / "recipe.toml").is_file()
    ended = called("race", "iris", "--budget", "5", at=tmp_path)
    assert ended.returncode != 0 and "--budget 30" in ended.stderr


def test_no_seed_that_tunes_is_a_seed_of_the_race(result, trained):
    """A recipe that is lucky with a seed would win the race by that seed."""
    *tuned, raced = [{recipe.seed for recipe in recipes} for recipes in trained]
    assert result.seeds == 5 and raced == {RECIPE.seed + i for i in range(5)}
    assert tuned and not raced & set.union(*tuned)
