"""The tape of small functions: values, local rules and gradients by hand, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import BadInput
from thalweg.insight.tape import interpreter
from thalweg.insight.tape.backward import gain
from thalweg.insight.tape.formulas import formula
from thalweg.insight.tape.listing import text
from thalweg.insight.tape.statements import as_dict, statements
from thalweg.insight.tape.tape import tape

RANDOM = np.random.default_rng(0)


def cubic(x):
    return x**3 + 5 * x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_cubic_goes_through_its_four_ops():
    recorded = tape(cubic, 2.0)
    assert [op.name for op in recorded.ops] == ["mul", "mul", "mul", "add"]
    assert [float(op.outputs[0].array) for op in recorded.ops] == [4.0, 8.0, 10.0, 18.0]
    assert recorded.value == 18.0 and float(recorded.gradients["x"]) == 17.0
    listed = text(recorded).splitlines()
    assert listed[0] == "cubic: 18, 4 ops"
    for line in ("v1 = x * x = 4", "v3 = 5 * x = 10", "dv1 = dv2 * x = 2", "dx = dv3 * 5 = 5", "dx = 17"):
        assert any(line in each for each in listed), line
    assert "test_tape.py" in text(recorded)
    assert repr(recorded) == "Tape(cubic: 4 ops, value 18, d/dx 17)"


def test_the_gains_of_ops_are_ratios_of_norms():
    recorded = tape(cubic, 2.0)
    assert [round(gain(op) ** 2, 4) for op in recorded.ops] == [8.0, 20.0, 25.0, 2.0]


def test_gains_and_their_product_by_layer_and_none_where_inputs_have_no_gradient():
    first, second, third, slopes = (
        jnp.asarray(RANDOM.normal(size=size)) for size in ((4, 3), (5, 4), (2, 5), 2)
    )

    def loss(layers, x):
        hidden = jnp.tanh(layers[0]["w"] @ x)
        return slopes @ (layers[2]["w"] @ jnp.tanh(layers[1]["w"] @ hidden))

    recorded = tape(loss, [{"w": each} for each in (first, second, third)], np.array([1, 2, 3]))
    stages = [stage for stage in recorded.flow.layers if stage.name != "loss"]
    hidden = np.tanh(first @ np.array([1, 2, 3]))
    out = np.asarray(third.T @ slopes)
    into = np.asarray(second.T @ (out * (1 - np.tanh(second @ hidden) ** 2)))
    norms = [np.linalg.norm(each) for each in (into, out, 1.0)]  # the last stage ends at the value
    np.testing.assert_allclose([stage.gradient for stage in stages], norms, rtol=1e-4)
    np.testing.assert_allclose(
        [stage.gain for stage in stages[1:]], [norms[0] / norms[1], norms[1] / norms[2]], rtol=1e-4
    )
    np.testing.assert_allclose(
        [stage.product for stage in stages[1:]], [norms[0] / norms[2], norms[1] / norms[2]], rtol=1e-4
    )
    assert np.isnan(stages[0].gain) and np.isnan(stages[0].product), "no gradient of whole numbers, so not 0"


def test_the_xor_net_by_hand():
    def loss(hidden, bias, out, x, y):
        h = jax.nn.sigmoid(hidden @ x + bias)
        p = jax.nn.sigmoid(out @ h)
        return 0.5 * (p - y) ** 2

    hidden, bias = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([0.1, -0.2])
    out, x, y = np.array([1.5, -1.0]), np.array([1.0, 0.0]), 1.0
    recorded = tape(loss, *(jnp.float32(each) for each in (hidden, bias, out, x)), y)
    h = sigmoid(hidden @ x + bias)
    p = sigmoid(out @ h)
    at_output = (p - y) * p * (1 - p)
    at_hidden = at_output * out * h * (1 - h)
    found = recorded.gradients
    np.testing.assert_allclose(found["out"], at_output * h, rtol=1e-5)
    np.testing.assert_allclose(found["bias"], at_hidden, rtol=1e-5)
    np.testing.assert_allclose(found["hidden"], np.outer(at_hidden, x), rtol=1e-5)
    assert recorded.value == pytest.approx(0.5 * (p - y) ** 2, rel=1e-5)


def test_softmax_and_cross_entropy_are_p_minus_y_however_written():
    def loss(z):
        return -jax.nn.log_softmax(z)[jnp.arange(2), jnp.array([2, 0])].mean()

    z = jnp.array([[0.3, -1.0, 2.0], [1.0, 0.0, -0.5]])
    given = tape(loss, z).fused
    assert given is not None and given.logits.name == "z"
    recorded = tape(lambda w: loss(w * 2.0), z / 2)
    assert recorded.fused is not None and recorded.fused.rows == 2
    np.testing.assert_allclose(recorded.fused.probabilities, jax.nn.softmax(z), rtol=1e-5)
    np.testing.assert_array_equal(recorded.fused.targets, [[0, 0, 1], [1, 0, 0]])
    assert any("(p - y) / 2" in each.text for each in statements(recorded))
    assert tape(lambda w: jnp.sum((2 * w) ** 2), z).fused is None


def test_loops_branches_and_calls_are_run_through():
    def loss(x, steps):
        def body(total, at):
            return total + jnp.sin(x) * at, total

        total, seen = jax.lax.scan(jax.checkpoint(body), 0.0, jnp.arange(3.0))
        chosen = jax.lax.cond(total > 0, jnp.cos, jnp.exp, total)
        return jax.jit(lambda a: a * 2)(chosen) + seen.sum() + jax.lax.floor(x)

    recorded = tape(loss, 0.7, 3)
    expected = jax.grad(loss)(0.7, 3)
    assert float(recorded.gradients["x"]) == pytest.approx(float(expected), rel=1e-6)
    scopes = {str(scope) for op in recorded.ops for scope in op.scopes}
    assert {"scan[0]", "scan[1]", "scan[2]", "cond[1]"} <= scopes
    cosine = next(op for op in recorded.ops if op.name == "cos" and op.scopes[-1].kind == "cond")
    assert cosine.source is not None and "cond" in cosine.source.text


def test_a_symbolic_zero_meets_no_infinity():
    def loss(x):
        return x + jnp.floor(jnp.log(x - x + 1e-45)) * 0 + jax.lax.stop_gradient(jnp.sqrt(x - x))

    assert float(tape(loss, 2.0).gradients["x"]) == 1.0


def test_an_op_without_a_reverse_rule_is_named_and_the_rest_shown():
    def loss(x):
        return x * 3 + jax.lax.while_loop(lambda v: v < 100, lambda v: v * 2, x * x)

    recorded = tape(loss, 3.0)
    assert [op.name for op in recorded.stopped] == ["while"]
    assert recorded.value == 153.0 and recorded.gradients["x"] is None
    assert any(str(scope) == "while[3]" for op in recorded.ops for scope in op.scopes)
    assert any("while" in each.text and "no reverse rule" in each.text for each in statements(recorded))
    only = tape(lambda x: jax.lax.while_loop(lambda v: v < 100, lambda v: v * 2, x), 3.0)
    assert only.gradients == {"x": None} and "not known" in text(only)


def test_a_loop_too_long_to_unroll_is_one_op(monkeypatch):
    def loss(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=50)[0]

    whole = tape(loss, 0.5)
    monkeypatch.setattr(interpreter, "MOST_OPS", 20)
    short = tape(loss, 0.5)
    assert [op.name for op in short.ops] == ["scan"] and len(short.recording.opaque) == 1
    assert float(short.gradients["x"]) == pytest.approx(float(whole.gradients["x"]), rel=1e-5)
    assert any("too long" in each.text for each in statements(short))


@pytest.mark.parametrize(
    ("function", "inputs", "rule"),
    [
        (lambda x: x, (jnp.ones(3),), "one floating-point number"),
        (lambda x: (x, x), (1.0,), "one floating-point number"),
        (lambda x: x, (3,), "floating-point input"),
        (lambda: 1.0, (), "floating-point input"),
        (lambda x: x > 0, (1.0,), "one floating-point number"),
        (lambda x: x if x > 0 else -x, (1.0,), "branch in Python"),
        ("not a function", (1.0,), "takes a function"),
    ],
)
def test_what_cannot_be_recorded_is_refused(function, inputs, rule):
    with pytest.raises(BadInput, match=rule):
        tape(function, *inputs)


def test_every_rule_of_the_formulas_is_named_for_a_live_operand_only():
    recorded = tape(lambda x: jnp.sum(jnp.where(x > 0, x / 2, jnp.maximum(x, 1.0))), jnp.array([1.0, -1.0]))
    rules = {op.name: formula(op).rule for op in recorded.ops}
    assert rules["div"] == "da = dz / b" and rules["gt"] == ""
    assert rules["max"].startswith("da = dz where a is larger") and "db" not in rules["max"]


def test_json_says_what_the_listing_says():
    facts = as_dict(tape(cubic, 2.0))
    assert facts["value"] == 18.0 and facts["gradients"] == {"x": 17.0} and facts["ops"] == 4
    assert facts["healthy"] is True and facts["born"] is None
