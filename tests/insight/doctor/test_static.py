"""Static checks name a planted fault by probing the function, on modules and losses of a user's own."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

import thalweg as tw
from tests.insight.doctor.programs import (
    CERTAIN,
    HEALTHY,
    blobs,
    crossed,
    examples,
    log_loss,
    net,
    of_probabilities,
    squared,
    unit,
)
from thalweg.insight.doctor.anatomy import BINARY, CLASSES, opened
from thalweg.insight.doctor.checks.head import label_form
from thalweg.insight.doctor.diagnose import diagnose
from thalweg.insight.doctor.plan import planned
from thalweg.insight.doctor.profile import LOGITS, PROBABILITIES, RIGHT
from thalweg.insight.doctor.vocabulary import CAUSES, FIXES, SYMPTOMS

NOT_OF_THE_HEAD = ("hidden_linear",)  # certain only beside references, which `quick` computes without trees


LONG = ("head_activation_wrong", "head_activation_missing", "label_encoding_wrong", "init_symmetric")


@pytest.mark.parametrize(
    "cause",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in LONG else [])
        for name in CERTAIN
        if name not in NOT_OF_THE_HEAD
    ],
)
def test_a_planted_fault_is_named_before_the_first_step(cause):
    diagnosis = diagnose(CERTAIN[cause](), unit(), quick=True)
    assert not diagnosis.healthy
    assert diagnosis.causes[0].name == cause
    assert diagnosis.causes[0].proof == "static"
    assert diagnosis.cost.updates == 0


SQUEEZED = {
    "softmax twice": (
        "head_double_activation",
        lambda: tw.Problem(
            net([6, 8, 4], out=lambda z: jax.nn.softmax(jax.nn.softmax(z))),
            tw.load(blobs()),
            loss=of_probabilities,
            outputs="probabilities",
        ),
    ),
    "sigmoid of what is never negative": (
        "head_activation_wrong",
        lambda: tw.Problem(
            net([2, 8, 1], out=lambda z: jax.nn.sigmoid(jax.nn.relu(z))),
            examples(crossed()),
            objective=log_loss,
        ),
    ),
}


@pytest.mark.parametrize("name", SQUEEZED)
def test_probabilities_that_stay_away_from_an_end_are_named(name):
    cause, program = SQUEEZED[name]
    diagnosis = diagnose(program(), unit(), quick=True)
    assert [each.name for each in diagnosis.causes[:1]] == [cause]
    assert diagnosis.causes[0].proof == "static"


def test_targets_that_are_the_inputs_scaled_are_targets():
    x = np.random.default_rng(0).normal(size=(60, 1)).astype(np.float32)
    data = examples({"x": x, "y": 2 * x[:, 0] + 1})
    anatomy = opened(tw.Problem(net([1, 4, 1]), data, objective=squared), unit())
    assert (anatomy.kind, anatomy.metric) == ("values", "r2")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.long] if each == "values" else []) for each in HEALTHY]
)
def test_nothing_is_certain_of_a_healthy_program(name):
    diagnosis = diagnose(HEALTHY[name](), unit(), quick=True)
    assert diagnosis.healthy
    assert diagnosis.causes == ()


def test_the_words_are_those_of_the_vocabulary():
    values = diagnose(CERTAIN["head_softmax_single"](), unit(), quick=True).to_dict()
    assert {cause["name"] for cause in values["causes"]} <= set(CAUSES)
    assert {symptom["name"] for symptom in values["symptoms"]} <= set(SYMPTOMS)
    assert {cause["change"]["fix"] for cause in values["causes"] if "change" in cause} <= set(FIXES)
    assert set(values) >= {"healthy", "symptoms", "causes", "refuted", "repair", "controls", "cost"}


@pytest.mark.parametrize(
    ("kind", "labels", "profile", "right"),
    [
        (BINARY, [-1, 1, 1], {"takes": LOGITS, "lowest": -0.5}, [0, 1, 1]),
        (BINARY, [2, 4, 2], {"takes": PROBABILITIES, "lowest": -3.0}, [0, 1, 0]),
        (BINARY, [0, 1, 1], {"takes": LOGITS, "deaf": True}, [-1, 1, 1]),
        (CLASSES, [1, 3, 2], {"takes": LOGITS, "wrong": 0.3}, [0, 2, 1]),
        (CLASSES, [10, 30, 20], {"takes": LOGITS, "wrong": 1.0}, [0, 2, 1]),
    ],
)
def test_labels_are_repaired_to_those_that_the_loss_means(kind, labels, profile, right):
    usual = {"prefers": RIGHT, "lowest": 0.0, "deaf": False, "wrong": 0.0}
    anatomy = SimpleNamespace(kind=kind, leaf=0, levels=np.unique(labels), train=SimpleNamespace(y=labels))
    view = SimpleNamespace(
        anatomy=anatomy, profile=SimpleNamespace(**usual | profile), are_probabilities=False
    )
    (finding,) = label_form(view)  # type: ignore[arg-type]
    assert finding.cause == "label_encoding_wrong"
    ((move,),) = finding.moves
    scale, shift = planned(tw.Recipe(), (move,)).relabel
    np.testing.assert_allclose(np.multiply(labels, scale) + shift, right, atol=1e-12)
