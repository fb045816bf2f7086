"""Every schedule equals its closed form in NumPy at every step, in float64, and to rounding in float32."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.recipe.schedules import (
    SCHEDULES,
    Clock,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseTime,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    StepDecay,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
)

EPOCH = 40
TOTAL = 7 * EPOCH + 3


def cosine(share: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2


def restarts(t: int, period: int, growth: float, floor: float) -> float:
    start, length = 0, period
    while t >= start + length:
        start, length = start + length, length * growth
    return cosine((t - start) / length, floor)


def one_cycle(t: int, first: float, middle: float, last: float, rise: float, bend: str) -> float:
    top = rise * TOTAL - 1
    share, ends = (t / top, (first, middle)) if t <= top else ((t - top) / (TOTAL - 1 - top), (middle, last))
    bent = share if bend == "linear" else (1 - math.cos(math.pi * share)) / 2
    return ends[0] + (ends[1] - ends[0]) * bent


def stable(t: int, w: int, d: int, floor: float, bend: str) -> float:
    if t < w:
        return (t + 1) / w
    share = max(0.0, (t - (TOTAL - d)) / d)
    return 1 - (1 - floor) * (math.sqrt(share) if bend == "sqrt" else share)


# A schedule and its closed form, written independently of the code; T = 283 steps, 40 in an epoch.
ROWS = [
    (Constant(), lambda t: 1.0),
    (StepDecay(every=2, drop=0.3), lambda t: 0.3 ** (t // 80)),
    (StepDecay(every=0.1, drop=0.5, unit="fraction"), lambda t: 0.5 ** (t // 28)),
    (
        MultiStep(points=(1, 3, 3.5), drop=0.2, unit="epochs"),
        lambda t: 0.2 ** ((t >= 40) + (t >= 120) + (t >= 140)),
    ),
    (MultiStep(), lambda t: 0.1 ** ((t >= 142) + (t >= 212))),
    (Exponential(decay=0.7), lambda t: 0.7 ** (t / 40)),
    (InverseTime(k=0.3), lambda t: 1 / (1 + 0.3 * t / 40)),
    (InverseTime(k=0.01, unit="steps"), lambda t: 1 / (1 + 0.01 * t)),
    (Polynomial(), lambda t: 1 - t / TOTAL),
    (Polynomial(power=2.5, floor=0.1), lambda t: 0.1 + 0.9 * (1 - t / TOTAL) ** 2.5),
    (Cosine(floor=0.05), lambda t: cosine(t / TOTAL, 0.05)),
    (CosineRestarts(period=17, growth=1, floor=0.1, unit="steps"), lambda t: restarts(t, 17, 1, 0.1)),
    (CosineRestarts(period=0.5, growth=2), lambda t: restarts(t, 20, 2, 0.0)),
    (CosineRestarts(period=8, growth=1.5, unit="steps"), lambda t: restarts(t, 8, 1.5, 0.0)),
    (OneCycle(), lambda t: one_cycle(t, 0.04, 1, 4e-6, 0.3, "cosine")),
    (
        OneCycle(rise=0.4, start=0.1, end=0.01, shape="linear"),
        lambda t: one_cycle(t, 0.1, 1, 0.01, 0.4, "linear"),
    ),
    (Warmup(length=1.5), lambda t: min(1, (t + 1) / 60)),
    (
        Warmup(length=0.1, unit="fraction", then=Cosine(floor=0.2)),
        lambda t: (t + 1) / 28 if t < 28 else cosine((t - 28) / (TOTAL - 28), 0.2),
    ),
    (
        Warmup(length=10, unit="steps", then=StepDecay(every=1)),
        lambda t: (t + 1) / 10 if t < 10 else 0.1 ** ((t - 10) // 40),
    ),
    (WarmupCosine(), lambda t: (t + 1) / 14 if t < 14 else cosine((t - 14) / (TOTAL - 14), 0.0)),
    (
        WarmupCosine(warmup=25, floor=0.1, unit="steps"),
        lambda t: (t + 1) / 25 if t < 25 else cosine((t - 25) / (TOTAL - 25), 0.1),
    ),
    (WarmupCosine(warmup=0), lambda t: cosine(t / TOTAL, 0.0)),
    (WarmupStableDecay(), lambda t: stable(t, 14, 57, 0.0, "sqrt")),
    (
        WarmupStableDecay(warmup=1, decay=2, floor=0.1, shape="linear", unit="epochs"),
        lambda t: stable(t, 40, 80, 0.1, "linear"),
    ),
    (Plateau(), lambda t: 1.0),
]


def curve(schedule, dtype):
    def at(schedule, t):
        clock = Clock(t.astype(dtype), jnp.asarray(TOTAL, dtype), jnp.asarray(EPOCH, dtype))
        momentum = schedule.momentum(clock)
        return schedule.factor(clock, schedule.init()), jnp.nan if momentum is None else momentum

    traced = jax.tree.map(lambda number: jnp.asarray(number, dtype), schedule)
    return jax.jit(lambda s: jax.lax.map(lambda t: at(s, t), jnp.arange(TOTAL)))(traced)


def test_every_schedule_has_a_row():
    assert sorted({schedule.name for schedule, _ in ROWS}) == sorted(SCHEDULES)


@pytest.mark.parametrize(
    ("schedule", "closed"), ROWS, ids=[f"{i}-{row[0].name}" for i, row in enumerate(ROWS)]
)
def test_equals_its_closed_form_at_every_step(schedule, closed):
    wanted = np.array([closed(t) for t in range(TOTAL)])
    with jax.enable_x64(True):
        np.testing.assert_allclose(curve(schedule, jnp.float64)[0], wanted, rtol=1e-12, atol=1e-15)
    found = curve(schedule, jnp.float32)[0]
    assert found.dtype == jnp.float32
    # Cosines near their floor are differences of numbers near 1: a few roundings of 6e-8 remain.
    np.testing.assert_allclose(found, wanted, rtol=5e-5, atol=3e-7)


@pytest.mark.parametrize("bend", ["cosine", "linear"])
def test_one_cycle_and_its_momentum_equal_torch(bend):
    torch = pytest.importorskip(
        "torch", reason="its OneCycleLR is the second reference where it is installed"
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=TOTAL, anneal_strategy={"cosine": "cos"}.get(bend, bend)
    )
    rates, momenta = [], []
    for _ in range(TOTAL - 1):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        theirs.step()
    with jax.enable_x64(True):
        factor, momentum = curve(OneCycle(shape=bend), jnp.float64)
    np.testing.assert_allclose(factor[:-1], rates, rtol=1e-9)
    np.testing.assert_allclose(momentum[:-1], momenta, rtol=1e-9)


def test_momentum_falls_while_the_rate_rises():
    with jax.enable_x64(True):
        factor, momentum = curve(OneCycle(high=0.9, low=0.7), jnp.float64)
    top = int(np.argmax(factor))
    assert (np.diff(momentum[: top + 1]) < 0).all() and (np.diff(momentum[top + 1 :]) > 0).all()
    wanted = [one_cycle(t, 0.9, 0.7, 0.9, 0.3, "cosine") for t in range(TOTAL)]
    np.testing.assert_allclose(momentum, wanted, rtol=1e-12)


def test_momentum_after_a_warmup_begins_with_the_schedule_after_it():
    cycle = OneCycle(high=0.9, low=0.7)
    with jax.enable_x64(True):
        factor, momentum = curve(Warmup(length=20, unit="steps", then=cycle), jnp.float64)
    assert int(np.argmin(momentum)) == int(np.argmax(factor)) > 20
    assert momentum[20] == pytest.approx(0.9) and momentum[-1] == pytest.approx(0.9)


def factors_after(plateau, losses):
    state, factors = plateau.init(), []
    for loss in losses:
        state = jax.jit(lambda s, v: plateau.observe(s, v))(state, jnp.float32(loss))
        factors.append(float(state.factor))
    return factors


def test_plateau_drops_as_torch_does():
    torch = pytest.importorskip(
        "torch", reason="its ReduceLROnPlateau is the reference where it is installed"
    )
    losses = [1, 0.9, 0.9, 0.90001, 0.95, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.7, *[0.7] * 20]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.3, patience=2, threshold=0.01, cooldown=3, min_lr=0.02
    )
    wanted = []
    for loss in losses:
        theirs.step(loss)
        wanted.append(optimizer.param_groups[0]["lr"])
    ours = factors_after(Plateau(drop=0.3, patience=2, threshold=0.01, cooldown=3, floor=0.02), losses)
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)


def test_plateau_remembers_the_best_and_not_the_last():
    """A loss that falls but stays above the best does not count as better."""
    losses = [1.0, 0.5, 2.0, 1.0, 2.0, 1.0]
    assert factors_after(Plateau(drop=0.5, patience=2), losses) == [1, 1, 1, 1, 0.5, 0.5]


def test_plateau_by_hand():
    losses = [1.0, 0.5, 0.5, 0.5, 0.4, math.nan, math.nan, 0.4]
    assert factors_after(Plateau(drop=0.5, patience=1), losses) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_evaluations_of_a_cooldown_do_not_count_by_hand():
    plateau = Plateau(drop=0.5, patience=1, cooldown=2)
    assert factors_after(plateau, [1.0] * 8) == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_another_number_does_not_recompile_a_schedule():
    traces = []

    @jax.jit
    def at(schedule, t):
        traces.append(1)
        return schedule.factor(Clock(t, jnp.float32(100), jnp.float32(10)), schedule.init())

    for name, schedule in SCHEDULES.items():
        traces.clear()
        for scale in (1.0, 0.9):
            at(
                jax.tree.map(lambda number, scale=scale: jnp.float32(number * scale), schedule()),
                jnp.float32(7),
            )
        assert len(traces) == 1, name


def test_warmup_before_a_cosine_is_warmup_cosine():
    one = curve(Warmup(length=0.05, unit="fraction", then=Cosine()), jnp.float32)[0]
    other = curve(WarmupCosine(warmup=0.05), jnp.float32)[0]
    np.testing.assert_array_equal(one, other)


def test_a_fraction_of_the_run_is_rounded_to_whole_steps():
    """0.6 of 25 steps is 15.000001 in float32: the drop still comes at step 15."""
    drop = jax.tree.map(jnp.float32, MultiStep(points=(0.6,), drop=0.5))
    found = [float(drop.factor(Clock(jnp.float32(t), jnp.float32(25), jnp.float32(10)))) for t in (14, 15)]
    assert found == [1.0, 0.5]


@pytest.mark.parametrize("growth", [1, 2, 3, 7])
def test_restarts_are_at_the_right_step_in_float32(growth):
    """The logarithm that finds the cycle is a rounding error too low at some restarts."""
    every = [(period, sum(growth**n for n in range(cycle))) for period in range(1, 99) for cycle in range(15)]
    starts = [(period, period * units) for period, units in every if period * units < 2**22]

    @jax.jit
    def at(period, step):
        schedule = CosineRestarts(period=period, growth=jnp.float32(growth), unit="steps")
        return schedule.factor(Clock(step, jnp.float32(2**24), jnp.float32(1)))

    period, start = (jnp.asarray(column, jnp.float32) for column in zip(*starts, strict=True))
    found = jax.vmap(at)(period, start)
    np.testing.assert_allclose(found, 1.0, atol=1e-6)
