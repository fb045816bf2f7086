"""The scoreboard of finders: arithmetic on synthetic curves with known answers, and the tasks set aside."""

import inspect
import math

import numpy as np
import pytest
from benchmarks.finders import baselines, scores, set_aside, tables, tasks, truth
from benchmarks.finders.scores import Curve, Pick, curve_of, score, smoothed
from benchmarks.finders.tasks import BUNDLED, TASKS, Task, rate_of, with_rate
from benchmarks.finders.truth import Lanes
from benchmarks.machine import data_folder

QUARTERS = np.arange(-6, 7) / 4  # octaves around 1


def curve(losses=None, *, own=1 / 16, own_loss=2.0, noise=0.0, seeds=5) -> Curve:
    """Return a parabola over octaves whose lowest loss is 1, at rate 1."""
    means = 1 + 0.1 * QUARTERS**2 if losses is None else np.asarray(losses, dtype=float)
    tilt = np.linspace(-1, 1, seeds)
    return Curve(
        QUARTERS, means[:, None] + noise * tilt, 5.0, own, np.full(seeds, own_loss) + noise * tilt[::-1]
    )


def test_a_pick_is_scored_in_octaves_and_in_shares_of_the_gap():
    at_best, off = score(curve(), Pick(1.0), 100), score(curve(), Pick(2.0, 0.5, 3.0, steps=25), 100)
    assert at_best["octaves"] == 0 and at_best["regret"] == 0 and at_best["good"]
    assert off["octaves"] == pytest.approx(1.0) and off["share"] == 0.25
    # The loss there is 1.1 and the gap is 2 - 1; smoothing the logarithm of a parabola adds an error of 1e-3.
    assert off["regret"] == pytest.approx(0.1, abs=2e-3)
    assert off["good"] and off["inside"] and not off["diverged"]
    assert not score(curve(), Pick(2.0**1.2), 100)["good"]


def test_the_recipes_own_rate_has_a_regret_of_one_and_a_worse_rate_more_up_to_a_bound():
    own = score(curve(), Pick(1 / 16), 100)
    assert own["regret"] == pytest.approx(1.0) and own["no_worse"]
    worse = score(curve(), Pick(1e-3, losses=np.full(5, 2.5)), 100)
    assert worse["regret"] == pytest.approx(1.5, abs=1e-3) and not worse["no_worse"]
    assert score(curve(), Pick(1e-3, losses=np.full(5, 1e6)), 100)["regret"] == scores.MOST_REGRET


def test_a_pick_with_a_diverged_seed_is_counted_with_the_loss_before_training():
    losses = np.array([1.0, 1.0, 1.0, 1.0, math.nan])
    scored = score(curve(), Pick(16.0, losses=losses), 100)
    assert scored["diverged"] and scored["loss"] == pytest.approx((4 + 5.0) / 5)


def test_the_curve_does_not_cover_rates_next_to_a_diverged_lane():
    at_edge = curve()
    at_edge.losses[-1, 2] = math.nan
    assert at_edge.covers(2.0**1.25) and not at_edge.covers(2.0**1.3) and not at_edge.covers(2.0**1.5)
    assert not curve().covers(2.0**1.6) and curve().covers(2.0**1.5)


def test_a_pick_is_tied_with_the_best_only_within_the_noise_of_paired_seeds():
    even, uneven = np.full(5, 1.1), 1.1 + np.linspace(-1, 1, 5)
    assert not score(curve(), Pick(16.0, losses=even), 100)["tied"]
    assert score(curve(), Pick(16.0, losses=uneven), 100)["tied"]
    assert score(curve(noise=1.0), Pick(16.0, losses=1.0 + np.linspace(-1, 1, 5)), 100)["tied"]


def test_the_ground_truth_is_scored_by_seeds_that_it_did_not_use():
    # At the best rate of the first three seeds the others lose 0.5; at the recipe's own rate, halfway, 0.125.
    lanes = Lanes(TASKS[0], fine=(-4, 4))
    for step in range(-4, 5):
        octaves = step / 4
        first_loss, other_loss = 1 + 0.5 * (octaves + 0.5) ** 2, 1 + 0.5 * (octaves - 0.5) ** 2
        lanes.losses[lanes.at(step)] = dict(enumerate([first_loss] * 3 + [other_loss] * 2))
    scored = scores.by_halves(lanes)
    assert scored["octaves"] == pytest.approx(1.0, abs=1e-5) and scored["share"] == 27
    assert scored["regret"] == pytest.approx(0.5 / 0.125, rel=0.05)


def test_picks_are_read_back_as_written():
    pick = Pick(0.5, 0.1, 1.0, 7, np.array([1.0, math.nan]), "found", 2.5)
    again = Pick.from_dict(pick.to_dict())
    assert again.to_dict() | {"losses": None} == pick.to_dict() | {"losses": None}
    assert np.array_equal(again.losses, pick.losses, equal_nan=True)


def test_if_the_recipes_own_rate_is_as_good_regret_is_relative_to_the_noise():
    flat = curve(own=1.0, own_loss=1.0, noise=0.05)
    assert flat.is_flat and flat.gap == flat.noise > 0
    assert not curve(noise=0.05).is_flat


def test_an_interval_contains_the_best_to_within_half_a_step_of_the_grid():
    def inside(low: float, high: float) -> bool:
        return score(curve(), Pick(1.0, low, high), 100)["inside"]

    assert inside(0.9, 1.1) and inside(1.05, 2.0) and not inside(1.2, 2.0) and not inside(0.1, 0.8)
    assert score(curve(), Pick(1.0), 100)["inside"] is None


def test_a_cliff_does_not_move_the_best_rate():
    losses = 1 + 0.1 * QUARTERS**2
    losses[QUARTERS > 0.5] = 100.0
    steep = curve(losses)
    assert abs(math.log2(steep.best)) <= 0.25
    assert steep.loss(2.0**1.5) == pytest.approx(100.0)


def test_smoothing_keeps_a_quadratic_and_removes_noise():
    y = 3 + QUARTERS - 2 * QUARTERS**2
    assert smoothed(QUARTERS, y) == pytest.approx(y)
    jagged = y + 0.1 * (-1.0) ** np.arange(len(y))
    assert np.abs(smoothed(QUARTERS, jagged) - y)[2:-2].max() < 0.04


def test_the_summary_averages_the_scores_of_the_tasks():
    scored = [score(curve(), Pick(rate, 0.9, 1.1, steps=10), 100) for rate in (1.0, 2.0, 2.0**1.5)]
    summary = scores.summary(scored)
    assert summary["octaves"] == pytest.approx(1.0) and summary["within"] == pytest.approx(2 / 3)
    assert summary["inside"] == 1.0 and summary["share"] == 0.1 and summary["diverged"] == 0
    nameless = scores.summary([score(curve(), Pick(None, losses=np.full(5, 1.5)), 100)])
    assert nameless["octaves"] is None and nameless["regret"] == pytest.approx(0.5, abs=1e-3)


def test_the_table_shows_which_goals_are_reached():
    def task(rate: float) -> dict:
        by_method = {
            "found": score(curve(), Pick(rate, 0.9, 1.1, steps=10), 100),
            "own": score(curve(), Pick(1 / 16), 100),
        }
        facts = {"steps": 100, "own": 1 / 16, "best": 1.0, "flat": False}
        return facts | {"seconds": 60.0, "lane_steps": 10, "scores": by_method}

    result = {
        "labels": {"found": "the finder", "own": "own rate"},
        "groups": {"development": {"a": task(2.0**1.5)}},
    }
    text = tables.table(result)
    assert "| octaves from the best, median, default budget | 1.5 | <= 0.5 | **not reached** |" in text
    assert "| picks that diverge, default budget | 0 | 0 | reached |" in text
    result["groups"]["development"]["a"] = task(1.0)
    assert "| octaves from the best, median, default budget | 0 | <= 0.5 | reached |" in tables.table(result)


def test_fifteen_tasks_are_set_aside_by_the_rule_and_are_unchanged():
    assert len(set_aside.NAMES) == set_aside.COUNT == 15
    assert list(set_aside.NAMES) == set_aside.lowest(TASKS)
    assert set_aside.digest(TASKS) == set_aside.DIGEST
    assert len(set_aside.development()) + len(set_aside.set_aside()) == len(TASKS)


def test_there_are_sixty_tasks_of_different_names():
    assert len(TASKS) >= 60
    assert len({task.name for task in TASKS}) == len(TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_can_be_built(task):
    assert task.recipe.steps == task.steps and rate_of(task.recipe) > 0
    if task.data not in BUNDLED and not (data_folder() / "mnist").is_dir():
        pytest.skip("needs the data sets: THALWEG_DATA")
    problem = task.problem()
    assert problem.data.validation.count() >= 30 and problem.data.test is None
    assert task.batch == "full" or task.batch <= problem.data.train.count()


def test_a_second_rate_is_scaled_and_the_rest_is_unchanged():
    recipe = next(task for task in TASKS if task.schedule == "stable-decay").recipe
    moved = with_rate(recipe, 0.02, seed=3)
    assert rate_of(moved) == pytest.approx(0.02) and float(moved.optimizer.adam_lr) == pytest.approx(6e-3)
    assert moved.seed == 3 and with_rate(moved, 0.01, seed=0).to_dict() == recipe.to_dict()


def test_the_ground_truth_of_a_small_task_is_computed_saved_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(truth, "RESULTS", tmp_path)
    monkeypatch.setattr(truth, "OCTAVES", 6)
    task = Task("iris", "linear", "sgd", "constant", "full", 20)
    lanes = truth.compute(task)
    low, high = lanes.fine
    best = curve_of(lanes).best
    assert lanes.at(low) <= best <= lanes.at(high)
    assert all(set(lanes.losses[rate]) == set(truth.SEEDS) for rate in lanes.grid)
    truth.keep(lanes)
    again = truth.kept(task)
    assert again.losses == lanes.losses and again.fine == lanes.fine and again.grid == lanes.grid
    assert truth.kept(Task("iris", "linear", "sgd", "constant", "full", 21)) is None


def test_names_of_data_are_known():
    assert {task.data for task in TASKS} <= set(tasks.DATA)


def test_pytorchs_defaults_are_those_of_its_signatures():
    optim = pytest.importorskip("torch.optim")
    classes = {name.lower(): kind for name, kind in vars(optim).items() if isinstance(kind, type)}
    for rule, rate in baselines.PYTORCH.items():
        assert inspect.signature(classes[rule]).parameters["lr"].default == rate, rule


def test_random_search_takes_the_best_of_ten_and_skips_diverged_lanes(monkeypatch):
    rates = []

    def ran(task, recipes):
        rates.append([rate_of(recipe) for recipe in recipes])
        return np.array([math.nan, 3.0, 1.0, *[2.0] * 7])

    monkeypatch.setattr(baselines, "ran", ran)
    task = TASKS[0]
    first, again = baselines.random_search(task), baselines.random_search(task)
    assert first.rate == pytest.approx(rates[0][2]) and first.rate == again.rate and rates[0] == rates[1]
    assert first.steps == 10 * task.steps and len(set(rates[0])) == 10
    assert all(baselines.WIDE[0] <= rate <= baselines.WIDE[1] for rate in rates[0])


def test_prodigy_replaces_only_the_optimizer(monkeypatch):
    recipes_run = []
    monkeypatch.setattr(baselines, "ran", lambda task, recipes: recipes_run.extend(recipes) or np.ones(5))
    task = next(task for task in TASKS if task.optimizer == "adamw")
    assert baselines.prodigy(task).rate is None
    assert [recipe.seed for recipe in recipes_run] == list(truth.SEEDS)
    plain = [recipe.to_dict() | {"optimizer": None, "seed": 0} for recipe in (recipes_run[0], task.recipe)]
    assert plain[0] == plain[1] and recipes_run[0].optimizer.name == "prodigy"
    assert float(recipes_run[0].optimizer.weight_decay) == pytest.approx(0.1)
