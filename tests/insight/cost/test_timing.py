"""The seconds of an update from rates: each kind of work counts, and busy measurements are said."""

from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import pytest

import thalweg as tw
from tests.insight.cost.test_cost import made, one_step
from thalweg.core import device
from thalweg.insight.cost import cost as costs
from thalweg.insight.cost import graph, rates, timing, trace
from thalweg.insight.cost.devices import DEVICES, LAUNCH
from thalweg.insight.cost.fusion import kernels
from thalweg.insight.cost.primitives import COUNTERS
from thalweg.insight.cost.rates import COLUMNS, ROWS, SUMMED, Rates
from thalweg.view import cost as shown

# Every kind takes a second for each number (of a product: each operation), but for what a test changes.
GRID = [float(2 * r * s * c) for r in ROWS for s in SUMMED for c in COLUMNS]
UNIT = Rates({"float32": GRID}, {"float32": 1.0}, list(map(float, rates.SIZES)), [1, 1], [1, 1], [1, 1], 1.0)


def alone(model, given: Rates = UNIT, **settings) -> dict[str, float]:
    shapes = trace.shapes(tw.Problem(model, made((8,))), one_step(batch_size=16, **settings))
    return timing.by_kind(graph.computation(trace.one_update(shapes)), given)


def test_a_product_takes_what_its_operations_do():
    spent = alone(tw.LinearModel())  # forward, and the gradient of the weight
    assert spent["products"] == pytest.approx(2 * 2 * 16 * 8 * 3)
    assert spent["random"] == spent["batched"] == 0 and min(spent["traffic"], spent["starts"]) > 0


def test_a_larger_array_is_interpolated_between_the_rates_of_a_small_and_a_large_one():
    assert rates.between([1.0, 4.0], rates.SMALL / 2) == 1.0
    assert rates.between([1.0, 4.0], (rates.SMALL * rates.LARGE) ** 0.5) == pytest.approx(2.0)
    assert rates.between([1.0, 4.0], rates.LARGE * 8) == pytest.approx(4.0)


def test_dropout_takes_a_random_number_for_each_unit():
    more = alone(tw.MLP([8, 32, 3], dropout=0.2))
    assert more["random"] == 16 * 32 and alone(tw.MLP([8, 32, 3]))["random"] == 0


def test_the_places_of_random_numbers_take_no_time_in_an_update():
    drawn = graph.computation(jax.make_jaxpr(lambda key: jax.random.bits(key, (64,)))(jax.random.key(0)))
    operations = [kernel.node.name for kernel in kernels(drawn)]
    assert operations.count(COUNTERS) == 1
    assert timing.by_kind(drawn, UNIT)["starts"] == len(operations) - 1
    launches = timing.on_device(drawn, DEVICES["H100"], narrow=False) / LAUNCH
    assert launches == pytest.approx(len(operations) - 1, abs=0.1)


def test_a_sum_takes_what_it_reads():
    summed = jax.make_jaxpr(lambda x: jnp.sum(x, axis=0))(jnp.ones((500, 4)))
    assert timing.by_kind(graph.computation(summed), UNIT)["sums"] == 500 * 4


def test_a_loop_takes_all_its_passes():
    once, four = alone(tw.MLP([8, 32, 3])), alone(tw.MLP([8, 32, 3]), accumulate=4)
    assert four["products"] == pytest.approx(once["products"]) and four["starts"] > 2 * once["starts"]


def test_an_update_is_the_sum_of_its_kinds(monkeypatch):
    shapes = trace.shapes(tw.Problem(tw.LinearModel(), made((8,))), one_step(batch_size=16))
    update = graph.computation(trace.one_update(shapes))
    factors = dict.fromkeys(timing.WITHIN, 0.0) | {"products": 3.0}
    monkeypatch.setattr(timing, "WITHIN", factors)
    assert timing.of_update(update, UNIT) == pytest.approx(3 * 2 * 2 * 16 * 8 * 3)


@pytest.mark.parametrize(("waited", "said"), [(0.82, True), (0.2, False), (None, False)])
def test_rates_of_a_busy_machine_are_said(monkeypatch, waited, said):
    kept = asdict(replace(UNIT, waited=waited))
    monkeypatch.setattr(rates, "recall", lambda *_: kept)
    cost = tw.cost(tw.Problem(tw.LinearModel(), made((8,))), one_step(batch_size=16), measure=False)
    assert cost.step_seconds == pytest.approx(
        sum(timing.WITHIN[k] * v for k, v in alone(tw.LinearModel()).items())
    )
    assert ("in 82 % of the time in which the rates were measured" in shown.text(cost)) is said
    assert cost.to_dict()["seconds"]["rates_waited"] == waited


def test_a_measurement_says_how_long_it_waited(monkeypatch):
    clock, waiting = iter([10.0, 14.0]), iter([1.0, 2.0])
    for name in ("_product", "_batched", "_elementwise", "_summing", "_drawn"):
        monkeypatch.setattr(rates, name, lambda *_: 1.0)
    monkeypatch.setattr(rates, "_started", lambda: 0.5)
    monkeypatch.setattr(rates.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(rates, "waited_seconds", lambda: next(waiting))
    measured = rates.measure()
    assert measured.waited == 0.25
    assert measured.traffic == [0.5] * len(rates.SIZES) and measured.random == [1.0, 1.0]


def test_little_is_left_of_a_small_array_beside_the_start_but_not_nothing(monkeypatch):
    for name in ("_product", "_batched", "_elementwise", "_summing", "_drawn"):
        monkeypatch.setattr(rates, name, lambda *_: 1.0)
    monkeypatch.setattr(rates, "_started", lambda: 1.5)
    assert rates.measure().traffic == [0.25] * len(rates.SIZES)


def test_rates_are_measured_once_and_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    small = {"ROWS": (4,), "SUMMED": (8,), "COLUMNS": (8, 16), "SIZES": (64, 128, 256, 512, 1024)}
    for name, value in (small | {"SMALL": 128, "LARGE": 512, "SECONDS": 1e-6, "REPEATS": 1}).items():
        monkeypatch.setattr(rates, name, value)
    assert rates.known() is None
    measured = rates.rates()
    assert [len(each) for each in measured.products.values()] == [2, 2] and len(measured.traffic) == 5
    assert min(min(each) for each in (*measured.products.values(), measured.traffic, measured.random)) > 0
    assert measured.start > 0 and min(measured.batched.values()) > 0
    monkeypatch.setattr(rates, "measure", pytest.fail)
    assert rates.rates() == rates.known() == measured


def test_waiting_is_read_from_every_thread_of_the_process():
    before = device.waited_seconds()
    jnp.ones(4).sum().block_until_ready()
    after = device.waited_seconds()
    assert before is None or (after is not None and after >= 0 and before >= 0)


def test_another_device_has_no_measured_rates(monkeypatch):
    monkeypatch.setattr(costs, "rates", pytest.fail)
    monkeypatch.setattr(costs, "known", pytest.fail)
    problem = tw.Problem(tw.LinearModel(), made((8,)))
    assert tw.cost(problem, one_step(batch_size=16), device="H100").waited is None
