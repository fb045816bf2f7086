"""Lines as examples: of different lengths, with a beginning, an end, and padding of weight 0."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.core.errors import ModelError
from thalweg.problem.data.inputs import columns_from
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import inputs_for
from thalweg.problem.losses import CrossEntropy
from thalweg.problem.losses.metrics import accuracy
from thalweg.problem.models import LSTM
from thalweg.problem.problem import Problem

NAMES = ["ab", "abc", "b", "cab", "acb", "bc", "ca", "bca", "cc", "ab", "aab", "ab"] * 3 + [
    f"{x}{y}{z}a" for x in "abc" for y in "abc" for z in "abc"
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES) + "\n\n")
    return path


def text(data, tokens):
    return data.preparation.columns.text.text(tokens)


def test_a_line_begins_and_ends_and_its_padding_weighs_nothing(file):
    data = load(file, lines=True, split="time", test=0.0, validation=0.2)
    assert (data.task, data.input_shape, data.outputs) == ("language", (5,), 4)
    inputs, (targets, weights) = data.train.batch(np.array([0, 1]))
    assert text(data, inputs[1]) == "\nabc\n" and text(data, targets[1]) == "abc\n\n"
    assert (np.asarray(weights) > 0).sum(axis=1).tolist() == [3, 4]
    assert np.asarray(weights)[:, 0] == pytest.approx(5 / data.train.mean_length)


def test_the_mean_over_a_split_is_the_mean_over_its_characters(file):
    data = load(file, lines=True, test=0.0)
    problem = Problem(LSTM(width=8), data)
    split, rng = data.train, np.random.default_rng(0)
    _, (targets, weights) = split.batch(np.arange(split.count()))
    logits = jnp.asarray(rng.normal(0, 1, (*targets.shape, data.outputs)), jnp.float32)
    counted = np.asarray(weights) > 0
    for rule, ours in ((CrossEntropy(), problem.loss), (accuracy.rule, problem.metric.per_example)):
        each = np.asarray(rule(logits.reshape(-1, data.outputs), targets.reshape(-1)))
        # Float32 sums of some hundred terms.
        assert np.mean(ours(logits, (targets, weights))) == pytest.approx(
            each.reshape(targets.shape)[counted].mean(), rel=1e-5
        )
    assert split.lengths.sum() == counted.sum()


def test_a_model_that_ends_in_a_softmax_is_refused_for_lines_too(file):
    class Soft(eqx.Module):
        net: eqx.Module

        def __call__(self, x):
            return jax.nn.softmax(self.net(x))

    data = load(file, lines=True)
    with pytest.raises(ModelError, match="must give logits"):
        Problem(lambda key: Soft(LSTM(width=4).fitted((5,), 4)(key)), data)


def test_copies_of_a_line_are_kept_in_one_split(file):
    data = load(file, lines=True, test=0.3, validation=0.2)
    lines = {
        name: [text(data, tokens).strip("\n") for tokens in split.tokens]
        for name, split in data.splits.items()
    }
    assert sorted(name for split in lines.values() for name in split) == sorted(NAMES)
    assert not set(lines["train"]) & set(lines["test"]) and not set(lines["train"]) & set(lines["validation"])
    assert "duplicates" in {note.kind for note in data.notes}


def test_a_separate_test_file_may_hold_longer_lines_and_new_characters(file, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("abcabcabc\nxa\n")
    data = load(file, lines=True, test=str(own))
    assert data.input_shape == (10,) and data.test.lengths.tolist() == [10, 3]
    assert text(data, data.test.tokens[1])[1] == "\ufffd" and "unknown" in {n.kind for n in data.notes}


def test_long_lines_are_noted(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("\n".join([*NAMES, "abc" * 60]))
    assert "padding" in {note.kind for note in load(path, lines=True, test=0.0, validation=0.0).notes}


def test_new_lines_become_padded_tokens(file):
    data = load(file, lines=True)
    columns = columns_from({"kind": "lines"} | data.preparation.columns.to_dict())
    assert columns == data.preparation.columns
    rows = columns.inputs(["ab", "c"])
    assert rows.shape == (2, 5) and text(data, rows[0]) == "\nab\n\n"
    assert inputs_for(file, data.preparation).shape == (len(NAMES), 5)


def test_bad_lines_are_refused(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("abc\n")
    with refused("at least two lines", "1 lines"):
        load(path, lines=True)
    path.write_text("\n".join(NAMES))
    with refused("needs columns with names"):
        load(path, lines=True, split="group=x")
    with refused("must be a string or a list of strings"):
        load(path, lines=True).preparation.columns.inputs([1, 2])
