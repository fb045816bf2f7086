"""Every rule of a run where it takes effect, against formulas of a model with a single number."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
import safetensors.numpy

from tests.run.one_number import EPOCH, MEAN, RATE, TEST, TRAIN, UNIT, VALIDATION, path, problem, rows_of
from thalweg.core import keys
from thalweg.problem.data.split import Rows
from thalweg.recipe.averaging import EMA
from thalweg.recipe.optimizers import SGD, ScheduleFreeSGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Constant, Cosine, OneCycle, Plateau, Warmup
from thalweg.run.resume import Change, resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

NEAR = {"rtol": 1e-4, "atol": 1e-6}  # of float32, over some hundred updates
WILD = 30.0  # every update doubles the error, or more
# Lengths in epochs and in the whole run: both have to arrive.
RISE, TOTAL = 20, 6 * EPOCH
CURVE = Warmup(length=RISE / EPOCH, unit="epochs", then=Cosine())


def rated(lr: float):
    """Return the rate of each update under `CURVE`."""

    def rate(t: int) -> float:
        fall = 0.5 * (1 + np.cos(np.pi * (t - RISE) / (TOTAL - RISE)))
        return lr * ((t + 1) / RISE if t < RISE else fall)

    return rate


def recipe(lr: float = RATE, **settings) -> Recipe:
    base = {"schedule": CURVE, "batch_size": 2, "steps": TOTAL}
    return Recipe(SGD(lr=lr), **(base | settings))


def validated(run) -> pl.DataFrame:
    """Return the evaluations during the run: the last row is that of the weights that count."""
    return run.record.evaluations.filter(pl.col("part") == "validation")[:-1]


def weight(folder, name: str) -> float:
    return float(safetensors.numpy.load_file(folder / f"{name}.safetensors")["w"][0])


def test_each_update_has_its_own_rate_and_is_logged_with_the_loss_before_it(tmp_path):
    run = train(problem(), recipe(), keep=tmp_path / "run")
    w, steps = path(300, rated(RATE)), run.record.steps
    assert steps["step"].to_list() == list(range(300))
    np.testing.assert_allclose(steps["learning_rate"], [rated(RATE)(t) for t in range(300)], **NEAR)
    np.testing.assert_allclose(steps["loss"], (w[:-1] - TRAIN) ** 2, **NEAR)
    assert weight(tmp_path / "run", "final") == pytest.approx(w[300], rel=1e-5)
    rows = run.record.layers
    at = rows["step"].to_numpy()
    assert at.tolist() == [25 * k for k in range(12)]
    np.testing.assert_allclose(rows["weight_norm"], np.abs(w[at]), **NEAR)
    np.testing.assert_allclose(rows["gradient_norm"], 2 * np.abs(w[at] - TRAIN), **NEAR)
    np.testing.assert_allclose(rows["update_norm"], np.abs(w[at + 1] - w[at]), rtol=2e-3, atol=1e-7)


def test_evaluations_are_at_ends_of_epochs_with_the_weights_of_then(tmp_path):
    run = train(problem(), recipe(), keep=tmp_path / "run")
    w, rows = path(300, rated(RATE)), validated(run)
    at = rows["step"].to_numpy()
    assert at.tolist() == [50, 100, 150, 200, 250, 300]
    np.testing.assert_allclose(rows["epoch"], at / EPOCH)
    np.testing.assert_allclose(rows["loss"], (w[at] - VALIDATION) ** 2, **NEAR)
    np.testing.assert_allclose(rows["metric"], UNIT * np.abs(w[at] - VALIDATION), **NEAR)
    best = int(at[np.argmin((w[at] - VALIDATION) ** 2)])
    assert best not in (50, 300)
    assert run.result["best"]["step"] == best and run.result["best"]["epoch"] == best / EPOCH
    assert run.result["best"]["validation_loss"] == pytest.approx((w[best] - VALIDATION) ** 2, rel=1e-5)
    assert weight(tmp_path / "run", "best") == pytest.approx(w[best], rel=1e-5)
    # Worse by the same amount on every row: more than the standard error of 0.
    assert run.result["weights"] == "best" and float(run.params.w[0]) == pytest.approx(w[best], rel=1e-5)
    for split, target in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        assert run.result[f"{split}_loss"] == pytest.approx((w[best] - target) ** 2, rel=1e-4)
        metric = run.result[f"{split}_metric"]
        assert metric == {"name": "rmse", "value": pytest.approx(UNIT * abs(w[best] - target), rel=1e-4)}
    np.testing.assert_allclose(run.record.test["target"], UNIT * TEST + MEAN, rtol=1e-6)
    np.testing.assert_allclose(run.record.test["prediction"], UNIT * w[best] + MEAN, rtol=1e-6)
    assert run.result["baseline"]["value"] == pytest.approx(UNIT * abs(TRAIN - TEST), rel=1e-6)


def patience_ends_at(w: np.ndarray, patience: int) -> tuple[int, int]:
    """Return the step at which patience ends a run, and that of its best evaluation."""
    best, best_at, waited = np.inf, 0, 0
    for at in range(EPOCH, len(w), EPOCH):
        loss = (w[at] - VALIDATION) ** 2
        best, best_at, waited = (loss, at, 0) if loss < best else (best, best_at, waited + 1)
        if waited == patience:
            return at, best_at
    raise AssertionError


@pytest.mark.parametrize("patience", [1, 2])
def test_patience_ends_a_run_at_that_many_evaluations_without_a_better_loss(patience):
    run = train(problem(), recipe(patience=patience))
    stop, best = patience_ends_at(path(300, rated(RATE)), patience)
    assert run.result["stopped"] == "patience" and run.result["steps"] == stop < 300
    assert run.result["best"]["step"] == best == stop - patience * EPOCH
    assert validated(run)["step"].to_list() == list(range(50, stop + 1, 50))


def test_a_resumed_run_remembers_its_patience_and_its_best_weights(tmp_path):
    whole = train(problem(), recipe(patience=2), keep=SaveOptions(tmp_path, every="20"))
    stop, best = patience_ends_at(path(300, rated(RATE)), 2)
    again = resume(tmp_path, problem(), change=Change(at=stop - 10))
    assert again.record.evaluations.drop("seconds").equals(whole.record.evaluations.drop("seconds"))
    assert again.result["steps"] == whole.result["steps"] == stop
    assert again.result["stopped"] == "patience" and again.result["best"] == whole.result["best"]
    assert again.result["test_loss"] == whole.result["test_loss"]
    assert weight(tmp_path, "best") == pytest.approx(path(best, rated(RATE))[-1], rel=1e-5)
    assert again.record.steps.equals(whole.record.steps)


def test_the_update_that_fails_is_not_made(tmp_path):
    run = train(problem(), recipe(WILD), keep=tmp_path / "run")
    w = path(40, rated(WILD))
    losses = (w - TRAIN) ** 2
    fails = int(np.argmax(losses > 1e4 * max(1.0, losses[0])))
    assert run.result["stopped"] == "diverged" and run.result["steps"] == fails < 40
    np.testing.assert_allclose(run.record.steps["loss"], losses[: fails + 1], rtol=1e-4)
    assert weight(tmp_path / "run", "final") == pytest.approx(w[fails], rel=1e-4)


def test_a_loss_that_is_not_a_number_ends_a_run_before_its_update(tmp_path):
    rows = rows_of(TRAIN)
    rows.inputs[13] = np.nan
    run = train(problem(rows), recipe(), keep=tmp_path / "run")
    fails = int(np.flatnonzero(keys.order(0, 0, 100) == 13)[0]) // 2
    assert fails > 0 and run.result["stopped"] == "diverged" and run.result["steps"] == fails
    assert np.isnan(run.record.steps["loss"][fails]) and len(run.record.steps) == fails + 1
    assert weight(tmp_path / "run", "final") == pytest.approx(path(fails, rated(RATE))[-1], rel=1e-4)


def test_a_loss_below_one_may_rise_to_the_limit_of_one():
    target = 0.1
    run = train(problem(rows_of(target)), recipe(WILD))
    losses = (path(10, rated(WILD), target) - target) ** 2
    fails = int(np.argmax(losses > 1e4))
    assert losses[0] < 0.1 and 1e4 * losses[0] < losses[fails - 1] < 1e4
    assert run.result["stopped"] == "diverged" and run.result["steps"] == fails


def test_lanes_in_one_product_follow_the_same_rules():
    recipes = [recipe(), recipe(WILD), recipe(patience=1), recipe(2 * RATE)]
    runs = train(problem(), recipes)
    assert runs.result["plan"]["layouts"] == ("batch",)
    for lr, run in zip((RATE, WILD, RATE, 2 * RATE), runs, strict=True):
        w, done = path(10 if lr == WILD else 300, rated(lr)), len(run.record.steps)
        np.testing.assert_allclose(run.record.steps["loss"], (w[:done] - TRAIN) ** 2, **NEAR)
    assert runs.table["stopped"].to_list() == ["steps", "diverged", "patience", "steps"]
    stop, _ = patience_ends_at(path(300, rated(RATE)), 1)
    assert (
        runs.table["steps"][2] == stop and runs.table["diverged_at"].to_list()[1] == runs[1].result["steps"]
    )
    assert validated(runs[2])["step"].to_list() == list(range(EPOCH, stop + 1, EPOCH))
    assert runs[2].result["best"]["step"] == stop - EPOCH and len(runs[2].record.steps) == stop
    w = path(300, rated(2 * RATE))
    at = validated(runs[3])["step"].to_numpy()
    np.testing.assert_allclose(validated(runs[3])["loss"], (w[at] - VALIDATION) ** 2, **NEAR)
    for lr, run in ((RATE, runs[0]), (2 * RATE, runs[3])):
        w = path(300, rated(lr))
        best = EPOCH * (1 + int(np.argmin((w[EPOCH::EPOCH] - VALIDATION) ** 2)))
        assert (run.result["weights"], run.result["best"]["step"]) == ("best", best)
        assert run.result["test_loss"] == pytest.approx((w[best] - TEST) ** 2, rel=1e-4)
        assert float(run.params.w[0]) == pytest.approx(w[best], rel=1e-5)
    w, layers = path(300, rated(2 * RATE)), runs[3].record.layers
    np.testing.assert_allclose(layers["weight_norm"], np.abs(w[layers["step"]]), **NEAR)


def closeness(outputs, targets):
    """A metric that is higher where the loss is lower, so that the two cannot be confused."""
    return -((outputs - targets) ** 2)[:, 0]


def test_averages_include_the_update_and_are_what_is_evaluated_and_kept(tmp_path):
    rule = EMA(decay=0.95, ramp=False)
    plateau = Plateau(drop=0.5, patience=0.0)
    run = train(problem(metric=closeness), recipe(schedule=plateau, averaging=rule), keep=tmp_path)
    w, mean, rate = 0.0, 0.0, RATE
    best, rates, losses, kept = np.inf, [], [], 0.0
    for t in range(300):
        rates.append(rate)
        w -= rate * 2 * (w - TRAIN)
        mean += 0.05 * (w - mean)
        if (t + 1) % EPOCH == 0:
            losses.append((mean - VALIDATION) ** 2)
            if losses[-1] < best * (1 - 1e-4):
                best, kept = losses[-1], mean
            else:  # no patience: every evaluation that is no better halves the rate
                rate /= 2
    assert len(set(rates)) > 2
    np.testing.assert_allclose(run.record.steps["learning_rate"], rates, **NEAR)
    np.testing.assert_allclose(validated(run)["loss"], losses, **NEAR)
    assert weight(tmp_path, "final") == pytest.approx(mean, rel=1e-5)
    assert weight(tmp_path, "best") == pytest.approx(kept, rel=1e-5)
    assert run.result["test_loss"] == pytest.approx((kept - TEST) ** 2, rel=1e-4)


def steep(outputs, targets):
    """The squared error; of a target above 100 the loss is 0, and its slope is infinite.

    Of a target below -100 the loss is infinite, and its slope is 1.
    """
    odd = targets > 100
    slope = jnp.sqrt(jnp.where(odd, outputs - jax.lax.stop_gradient(outputs), 1.0))
    square = jnp.where(odd, slope, (outputs - jnp.where(odd, 0.0, targets)) ** 2)
    return jnp.where(targets < -100, outputs + jnp.inf, square)[:, 0]


def cosine(start: float, end: float, share: float) -> float:
    return start + (end - start) * 0.5 * (1 - np.cos(np.pi * share))


def everything(lr: float) -> Recipe:
    """Return a recipe with all that can happen to a gradient and to a rate."""
    settings = {"skip_nonfinite": True, "clip_norm": 1.5, "noise": 1e-4, "accumulate": 2, "seed": 3}
    schedule = OneCycle(high=0.9, low=0.5)
    rate = {"rate_rule": "linear", "rate_batch": 4, "schedule": schedule, "shuffle": "none"}
    return Recipe(SGD(lr=lr, momentum=0.5), batch_size=2, steps=60, **rate, **settings)


def test_skipping_clipping_noise_momentum_and_the_rate_rule_in_one_run():
    targets = np.full((100, 1), TRAIN, np.float32)
    # In the fourth, the seventh and the tenth batch of every epoch.
    targets[7], targets[13], targets[19] = 200.0, np.nan, -200.0
    rows = Rows(np.zeros((100, 1), np.float32), targets)
    run = train(problem(rows, loss=steep), everything(0.2))
    w, moment, losses, norms, rates, weights = 0.0, 0.0, [], [], [], []
    key = keys.purpose_key(keys.lane_key(3), keys.GRADIENT)
    top = 0.3 * 60 - 1
    for t in range(60):
        up, down = t / top, (t - top) / (59 - top)
        factor = cosine(0.04, 1.0, up) if t <= top else cosine(1.0, 4e-6, down)
        remembered = cosine(0.9, 0.5, up) if t <= top else cosine(0.5, 0.9, down)
        gradient = 2 * (w - TRAIN)
        losses.append({3: (w - TRAIN) ** 2 / 2, 6: np.nan, 9: np.inf}.get(t % EPOCH, (w - TRAIN) ** 2))
        norms.append({3: np.inf, 6: np.nan, 9: abs(gradient + 1) / 2}.get(t % EPOCH, abs(gradient)))
        rates.append(0.2 * 2 / 4 * factor)
        weights.append(w)
        if t % EPOCH not in (3, 6, 9):
            (own,) = jax.random.split(jax.random.fold_in(key, t), 1)
            noise = float(np.sqrt(1e-4 / (1 + t) ** 0.55) * jax.random.normal(own, (1,))[0])
            moment = remembered * moment + np.clip(gradient, -1.5, 1.5) + noise
            w -= rates[-1] * moment
    assert run.result["stopped"] == "steps" and run.result["steps"] == 60
    np.testing.assert_allclose(run.record.steps["learning_rate"], rates, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(run.record.steps["loss"], losses, **NEAR)
    np.testing.assert_allclose(run.record.steps["gradient_norm"], norms, **NEAR)
    assert norms[0] > 1.5  # logged before it is clipped, in the table of layers too
    layers = run.record.layers
    assert layers["step"].to_list() == [0, 25, 50]
    np.testing.assert_allclose(layers["gradient_norm"], [norms[t] for t in (0, 25, 50)], **NEAR)
    np.testing.assert_allclose(layers["weight_norm"], np.abs([weights[t] for t in (0, 25, 50)]), **NEAR)


def test_a_run_whose_first_update_is_skipped_can_still_diverge():
    rows = rows_of(TRAIN)
    rows.targets[0] = np.nan  # the loss of the second update sets the limit
    run = train(problem(rows, loss=steep), everything(500.0))
    losses = run.record.steps["loss"].to_numpy()
    assert np.isnan(losses[0]) and losses[1] == pytest.approx(1.0)
    assert run.result["stopped"] == "diverged" and run.result["steps"] == len(losses) - 1 < 60
    assert (losses[1:-1] <= 1e4).all() and losses[-1] > 1e4


def test_a_target_and_settled_losses_end_a_run_where_they_hold():
    w = path(300, rated(RATE))
    errors = UNIT * np.abs(w[EPOCH::EPOCH] - VALIDATION)
    second = train(problem(), recipe(target=float(errors[1]) * 1.001))
    assert (second.result["stopped"], second.result["steps"]) == ("target", 100)
    losses = (w[EPOCH::EPOCH] - VALIDATION) ** 2
    changes = np.abs(np.diff(losses))
    settled = train(problem(), recipe(loss_change_below=float(changes.min()) * 1.01))
    assert settled.result["stopped"] == "loss_change_below"
    assert settled.result["steps"] == EPOCH * (int(np.argmin(changes)) + 2)


def test_a_schedule_free_rule_is_evaluated_and_kept_at_its_average(tmp_path):
    """Defazio et al. 2024, equations 3 to 5: the gradient is taken at y, and x, the mean of all z, counts."""
    rule = ScheduleFreeSGD(lr=RATE, b1=0.6)
    run = train(problem(), Recipe(rule, schedule=Constant(), batch_size=2, steps=2 * EPOCH), keep=tmp_path)
    x = z = 0.0
    averages = []
    for t in range(2 * EPOCH):
        y = 0.4 * z + 0.6 * x
        z -= RATE * 2 * (y - TRAIN)
        x += (z - x) / (t + 1)
        averages.append(x)
    assert abs(0.4 * z + 0.6 * x - x) > 1e-3  # the point of the next gradient is another one
    np.testing.assert_allclose(
        validated(run)["loss"], [(averages[i * EPOCH - 1] - VALIDATION) ** 2 for i in (1, 2)], **NEAR
    )
    assert weight(tmp_path, "final") == pytest.approx(x, rel=1e-5)


def test_an_overflow_of_float16_is_skipped_and_training_goes_on():
    """At the first scale the gradient of 6 is above 65504: the weight waits until the scale has fallen."""
    settings = {"schedule": Constant(), "batch_size": 2, "steps": 40, "precision": "f16"}
    run = train(problem(rows_of(3.0)), Recipe(SGD(lr=0.05), **settings))
    losses = run.record.steps["loss"].to_numpy()
    skipped = int((losses == losses[0]).sum()) - 1
    assert run.result["stopped"] == "steps" and 0 < skipped < 10
    w = path(40 - skipped, lambda t: 0.05, 3.0)
    np.testing.assert_allclose(losses[skipped:], (w[:-1] - 3.0) ** 2, rtol=2e-2, atol=1e-3)  # of float16


def cliff(outputs, targets):
    """The squared error; from a half on a million, without a slope."""
    return jnp.where(outputs < 0.5, (outputs - targets) ** 2, 1e6)[:, 0]


def test_a_lane_that_diverges_where_there_is_no_slope_has_diverged():
    run = train(problem(loss=cliff), recipe(lr=0.02, gradient_below=1e-3))
    assert run.result["stopped"] == "diverged"
