"""A share of the corpus of planted faults: first op and line, and no alarm where all is well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.tape.faults import FAULTS
from benchmarks.tape.hosts import HOSTS
from benchmarks.tape.scoreboard import clean, is_found, planted, said, vanishing_case, vanishing_found
from benchmarks.tape.vanishing import CASES

from thalweg.insight.tape.flow import VANISHES
from thalweg.insight.tape.statements import as_dict, statements
from thalweg.insight.tape.tape import tape

HOST = {host.name: host for host in HOSTS}
FAULT = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_first_faulty_op_and_its_line_are_named(fault):
    recorded = planted(fault, HOST["classifier"])
    assert is_found(recorded, fault), said(recorded)


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("recurrent", "overflow in exp"),
        ("residual", "masked log"),
        ("branching", "sqrt at zero"),
        ("attention", "zero over zero"),
    ],
)
def test_also_inside_of_loops_branches_and_recomputed_blocks(host, fault):
    recorded = planted(FAULT[fault], HOST[host])
    assert is_found(recorded, FAULT[fault]), said(recorded)


@pytest.mark.parametrize("host", ["classifier", "attention", "autoencoder"])
def test_a_clean_run_raises_no_alarm(host):
    recorded = clean(HOST[host], 0)
    assert recorded.healthy, said(recorded)


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[7], CASES[9]], ids=lambda case: case.name)
def test_a_gradient_that_vanishes_or_explodes_is_traced_to_its_line(case):
    recorded = vanishing_case(case, 0)
    assert vanishing_found(recorded, case), said(recorded)
    if case.verdict == VANISHES:
        assert any("vanishes" in each.text for each in statements(recorded))


def test_the_iteration_the_operands_and_the_op_that_turns_it_into_nan_are_told():
    def loss(x):
        def body(c, at):
            c = jnp.exp(c * at)
            return c, c / jnp.sum(c)

        return jnp.mean(jax.lax.scan(body, x, jnp.arange(1.0, 5.0))[1])

    recorded = tape(loss, jnp.array([1.0, 0.5, 2.0]))
    facts = as_dict(recorded)["born"]
    assert (facts["kind"], facts["op"], facts["index"]) == ("infinity", "exp", [0])
    assert facts["inside"] == ["scan[2]"] and facts["code"] == "c = jnp.exp(c * at)"
    assert float(facts["operands"]["a"]) == pytest.approx(688.955, rel=1e-4)
    (told,) = [each.text for each in statements(recorded) if each.kind == "born"]
    assert "div" in told and "makes NaN of it" in told and "the output" in told


def test_an_input_that_holds_nan_is_named_and_no_op_blamed():
    recorded = tape(lambda w, x: jnp.sum(w * x), jnp.ones(3), jnp.array([1.0, np.nan, 2.0]))
    birth = recorded.nonfinite.birth
    assert birth is not None and birth.op is None
    assert birth.given is not None and birth.given.name == "x" and birth.index == (1,)


def test_a_where_that_hides_a_value_but_not_its_gradient_is_told():
    def loss(x):
        return jnp.sum(jnp.where(x > 0, jnp.log(x), 0.0))

    recorded = tape(loss, jnp.array([1.0, 0.0]))
    assert recorded.nonfinite.reaches == ("x",)
    assert [op.name for op in recorded.nonfinite.killed] == ["select_n"]
    assert any("forward pass only" in each.text for each in statements(recorded))


def test_infinities_that_were_written_down_are_no_fault():
    def loss(x):
        masked = jnp.where(jnp.arange(3) < 2, x, -jnp.inf)
        return -jax.nn.log_softmax(masked)[0]

    recorded = tape(loss, jnp.array([1.0, 2.0, 3.0]))
    assert recorded.healthy and recorded.nonfinite.harmless == ()
