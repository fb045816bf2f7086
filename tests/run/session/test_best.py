"""The best weights and the patience of lanes, and the conditions of the host, evaluation by evaluation."""

import numpy as np

from thalweg.problem.losses.metrics import accuracy, rmse
from thalweg.recipe.recipe import Recipe
from thalweg.run.session.stop_conditions import Best, Conditions

ALL = np.array([True, True])


def observed(best: Best, losses, step: int, alive=ALL) -> Best:
    """Record an evaluation whose weights are its step."""
    weights = {"w": np.full((2, 3), step, np.float32)}
    best.observe(np.array(losses), np.array([step, step]), weights, np.array(alive))
    return best


def kept(best: Best) -> list[int]:
    return np.asarray(best.weights["w"])[:, 0].tolist()


def test_each_lane_keeps_the_weights_of_its_own_best():
    best = observed(Best([2, 3]), [3.0, 3.0], 10)
    observed(best, [2.0, 4.0], 20)
    observed(best, [2.5, 1.0], 30)
    assert (best.loss.tolist(), best.step.tolist(), kept(best)) == ([2.0, 1.0], [20, 30], [20, 30])
    assert best.waited.tolist() == [1, 0] and best.exhausted.tolist() == [False, False]
    observed(best, [2.1, 1.5], 40)
    assert best.waited.tolist() == [2, 1] and best.exhausted.tolist() == [True, False]


def test_an_equal_loss_is_not_better():
    best = observed(observed(Best([1, None]), [2.0, 2.0], 10), [2.0, 2.0], 20)
    assert best.step.tolist() == [10, 10] and kept(best) == [10, 10]
    assert best.exhausted.tolist() == [True, False]


def test_a_loss_that_is_not_finite_is_never_the_best():
    best = observed(Best([None, None]), [np.nan, np.inf], 10)
    assert best.step.tolist() == [-1, -1]
    observed(observed(best, [1.0, 1.0], 20), [-np.inf, np.nan], 30)
    assert best.loss.tolist() == [1.0, 1.0] and best.step.tolist() == [20, 20] and kept(best) == [20, 20]


def test_a_good_metric_beside_a_loss_that_is_not_finite_is_never_the_best():
    best, weights = Best([None, None]), {"w": np.zeros((2, 3), np.float32)}
    best.observe(np.array([np.nan, 2.0]), np.array([10, 10]), weights, ALL, scores=np.array([-0.9, -0.8]))
    assert best.step.tolist() == [-1, 10] and best.score.tolist() == [np.inf, -0.8]


def test_a_lane_that_has_stopped_changes_no_more():
    best = observed(Best([5, 5]), [2.0, 2.0], 10)
    observed(best, [1.0, 1.0], 20, alive=[True, False])
    observed(best, [9.0, 9.0], 30, alive=[True, False])
    assert best.loss.tolist() == [1.0, 2.0] and best.step.tolist() == [20, 10] and kept(best) == [20, 10]
    assert best.waited.tolist() == [1, 0]


def evaluated(conditions: Conditions, loss: float, metric: float) -> dict[str, bool]:
    both = np.array([loss]), np.array([metric])
    return {str(reason): bool(which[0]) for reason, which in conditions.evaluated(both)}


def test_a_change_of_the_loss_needs_two_evaluations_and_counts_in_both_directions():
    conditions = Conditions([Recipe(loss_change_below=0.1)], rmse)
    changes = [evaluated(conditions, loss, 1.0)["loss_change_below"] for loss in (0.05, 5.0, 5.2, 4.9, 4.95)]
    assert changes == [False, False, False, False, True]


def test_a_target_is_a_value_of_the_metric_in_its_direction():
    at_least, at_most = Conditions([Recipe(target=0.5)], accuracy), Conditions([Recipe(target=0.5)], rmse)
    for metric, high, low in ((0.4, False, True), (0.5, True, True), (0.6, True, False)):
        assert evaluated(at_least, 9.0, metric)["target"] is high
        assert evaluated(at_most, 9.0, metric)["target"] is low


def test_the_mean_loss_between_evaluations_is_of_the_steps_made_since_the_last():
    conditions = Conditions([Recipe(loss_change_below=0.1)], rmse)

    def trained(losses: list[float]) -> None:
        # Two dispatches; what lies beyond the steps made is not a loss.
        for part in (losses[:1], losses[1:]):
            list(conditions.trained(1.0, np.array([len(part)]), np.array([[*part, 1e9]])))

    for losses, mean in (([4.0, 2.0], 3.0), ([1.0, 1.0, 4.0], 2.0), ([2.05], 2.05)):
        trained(losses)
        (_, settled), *_ = conditions.evaluated(None)
        assert conditions.loss[0] == mean
    assert settled[0]
