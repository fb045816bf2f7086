"""What outputs mean: read off a user's loss and model, used by metric, predictions, folders and reports."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import thalweg as tw
from tests.made import blobs, line
from thalweg.core.errors import ModelError
from thalweg.insight.answers import confusion
from thalweg.problem.losses.outputs import (
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    SCORES,
    VALUES,
    boundary,
    class_columns,
    probabilities,
)
from thalweg.run.folder.record import read

RECIPE = tw.Recipe(tw.AdamW(lr=0.05), batch_size=32, epochs=3)


class Own(eqx.Module):
    """A linear model with a last function, as a user writes it; its output has the given size."""

    layer: eqx.nn.Linear
    last: object = eqx.field(static=True)

    def __init__(self, size, last, key):
        self.layer, self.last = eqx.nn.Linear(6, size, key=key), last

    def __call__(self, x):
        return self.last(self.layer(x))


def own(size, last=lambda z: z):
    def factory(key):
        return Own(size, last, key)

    return factory


def flat(loss):
    """A loss of outputs (batch,) for outputs (batch, 1)."""
    return lambda o, t: loss(o[:, 0], t)


def bce(p, t):
    return -(t * jnp.log(p + 1e-7) + (1 - t) * jnp.log(1 - p + 1e-7))


def bce_where(p, t):
    return -jnp.log(jnp.where(t == 1, p, 1 - p))


def bce_clipped(p, t):
    return bce(jnp.clip(p, 1e-6, 1 - 1e-6), t)


def bce_logits(z, t):
    return jnp.logaddexp(0.0, z) - t * z


def focal(z, t):
    p = jax.nn.sigmoid(jnp.where(t == 1, z, -z))
    return -((1 - p) ** 2) * jnp.log(p)


def squares(o, t):
    return (o - t) ** 2


def signed_squares(o, t):
    return (o - (2 * t - 1)) ** 2


def margin(o, t):
    return jnp.maximum(0.0, 1 - (2 * t - 1) * o)


def log_single(o, t):
    return -jnp.where(t == 1, o, jnp.log1p(-jnp.exp(o)))


def nll(p, t):
    return -jnp.log(jnp.take_along_axis(p, t[:, None], axis=1)[:, 0] + 1e-9)


def nll_of_logs(o, t):
    return -jnp.take_along_axis(o, t[:, None], axis=1)[:, 0]


def cross_entropy(z, t):
    return nll_of_logs(jax.nn.log_softmax(z), t)


def smooth(z, t):
    return 0.9 * cross_entropy(z, t) - 0.1 * jax.nn.log_softmax(z).mean(axis=1)


def brier(o, t):
    return ((o - jax.nn.one_hot(t, o.shape[1])) ** 2).sum(axis=1)


def one_against_rest(z, t):
    return bce_logits(z, jax.nn.one_hot(t, z.shape[1])).sum(axis=1)


def columns_bce(p, t):
    return bce(p, jax.nn.one_hot(t, p.shape[1])).sum(axis=1)


def many_margins(o, t):
    right = jnp.take_along_axis(o, t[:, None], axis=1)
    return jnp.maximum(0.0, 1 - right + o).sum(axis=1) - 1


SIGMOID, SOFTMAX, LOG_SOFTMAX = jax.nn.sigmoid, jax.nn.softmax, jax.nn.log_softmax


def by_hand(z):
    return (jnp.tanh(z / 2) + 1) / 2


# Name: (classes, size of the output, last function, loss, meaning).
CASES = {
    "sigmoid (n,)": (2, "scalar", SIGMOID, bce, PROBABILITIES),
    "sigmoid (n,), where": (2, "scalar", SIGMOID, bce_where, PROBABILITIES),
    "sigmoid (n,), clipped": (2, "scalar", SIGMOID, bce_clipped, PROBABILITIES),
    "sigmoid (n,), squares": (2, "scalar", SIGMOID, squares, PROBABILITIES),
    "sigmoid by hand": (2, "scalar", by_hand, bce, PROBABILITIES),
    "sigmoid (n, 1)": (2, 1, SIGMOID, flat(bce), PROBABILITIES),
    "softmax (n, 2)": (2, 2, SOFTMAX, nll, PROBABILITIES),
    "softmax (n, 3)": (3, 3, SOFTMAX, nll, PROBABILITIES),
    "softmax squares": (3, 3, SOFTMAX, brier, PROBABILITIES),
    "sigmoids (n, 3)": (3, 3, SIGMOID, columns_bce, PROBABILITIES),
    "log_softmax (n, 2)": (2, 2, LOG_SOFTMAX, nll_of_logs, LOG_PROBABILITIES),
    "log_softmax (n, 3)": (3, 3, LOG_SOFTMAX, nll_of_logs, LOG_PROBABILITIES),
    "log_sigmoid (n,)": (2, "scalar", jax.nn.log_sigmoid, log_single, LOG_PROBABILITIES),
    "logits (n,)": (2, "scalar", lambda z: z, bce_logits, LOGITS),
    "logits (n,), focal": (2, "scalar", lambda z: z, focal, LOGITS),
    "logits (n, 1)": (2, 1, lambda z: z, flat(bce_logits), LOGITS),
    "logits (n, 2)": (2, 2, lambda z: z, cross_entropy, LOGITS),
    "logits (n, 3), smoothed": (3, 3, lambda z: z, smooth, LOGITS),
    "tanh (n,)": (2, "scalar", jnp.tanh, signed_squares, SCORES),
    "margin (n,)": (2, "scalar", lambda z: z, margin, SCORES),
    "margins (n, 3)": (3, 3, lambda z: z, many_margins, SCORES),
    "one against the rest": (3, 3, lambda z: z, one_against_rest, SCORES),
    "least squares (n,)": (2, "scalar", lambda z: z, squares, PROBABILITIES),
    "least squares (n, 3)": (3, 3, lambda z: z, brier, PROBABILITIES),
}


@pytest.mark.parametrize("name", CASES)
def test_the_meaning_is_read_off_the_loss_and_the_model(name):
    classes, size, last, loss, meaning = CASES[name]
    assert tw.Problem(own(size, last), blobs(classes=classes), loss=loss).outputs == meaning


TRAINED = (
    "sigmoid (n,)",
    "sigmoid (n, 1)",
    "softmax (n, 2)",
    "softmax (n, 3)",
    "log_softmax (n, 3)",
    "logits (n,)",
    "logits (n, 1)",
    "logits (n, 2)",
    "tanh (n,)",
    "least squares (n,)",
)


@pytest.mark.parametrize("name", TRAINED)
def test_true_accuracy_reported_accuracy_and_predictions_agree(name):
    classes, size, last, loss, _ = CASES[name]
    data = blobs(classes=classes)
    run = tw.train(tw.Problem(own(size, last), data, loss=loss), RECIPE)
    raw, targets = run.outputs(data.test.inputs), np.asarray(data.test.targets)
    # By hand, from what this output is for the user; every case is separable.
    middle = {"sigmoid": 0.5, "least squares": 0.5, "log_sigmoid": np.log(0.5)}
    single = raw.reshape(len(raw), -1).shape[1] == 1
    threshold = next((at for word, at in middle.items() if name.startswith(word)), 0.0)
    right = (raw.reshape(-1) > threshold) == targets if single else raw.argmax(axis=1) == targets
    answers = run.predict(data.test.inputs)
    assert right.mean() > 0.85
    assert run.result["test_metric"]["value"] == pytest.approx(right.mean())
    assert run.result["test_metrics"]["accuracy"] == pytest.approx(right.mean())
    assert np.mean(answers["prediction"] == targets) == pytest.approx(right.mean())
    shares = [values for column, values in answers.items() if column.startswith("probability_")]
    if run.problem.outputs == SCORES:
        assert not shares and np.argmax([answers[f"score_{c}"] for c in range(classes)], axis=0).tolist() == (
            answers["prediction"].tolist()
        )
    else:
        np.testing.assert_allclose(np.sum(shares, axis=0), 1, rtol=1e-5)
        assert np.argmax(shares, axis=0).tolist() == answers["prediction"].tolist()


def test_probabilities_are_the_models_own():
    data = blobs(classes=2)
    run = tw.train(tw.Problem(own("scalar", SIGMOID), data, loss=bce), RECIPE)
    answers, raw = run.predict(data.test.inputs), run.outputs(data.test.inputs)
    np.testing.assert_allclose(answers["probability_1"], raw, rtol=1e-6)
    np.testing.assert_allclose(answers["probability_0"], 1 - raw, rtol=1e-6)


def test_the_meaning_holds_in_the_folder_in_a_sweep_and_after_resuming(tmp_path):
    data, model = blobs(classes=2), own("scalar", SIGMOID)
    problem = tw.Problem(model, data, loss=bce)
    runs = tw.train(problem, [tw.Recipe(tw.AdamW(lr=rate), batch_size=32, epochs=3) for rate in (0.05, 0.03)])
    tw.train(problem, RECIPE, keep=tmp_path / "run")
    longer = tw.resume(tmp_path / "run", problem, change=tw.Change(epochs=5))
    for run in (*runs, longer):
        right = np.mean((run.outputs(data.test.inputs) > 0.5) == data.test.targets)
        assert right > 0.85 and run.result["test_metric"]["value"] == pytest.approx(right)
    again, record = tw.restore(tmp_path / "run", model=model), read(tmp_path / "run")
    assert record.problem["outputs"] == PROBABILITIES
    answers = again.answers(data.test.inputs)
    assert np.mean(answers["prediction"] == data.test.targets) == pytest.approx(right)
    assert confusion(record).counts.trace() / len(data.test.targets) == pytest.approx(right)
    np.testing.assert_allclose(answers["probability_1"], longer.outputs(data.test.inputs), rtol=1e-5)
    with pytest.raises(ModelError, match="outputs that the run was started with"):
        declared = tw.Problem(model, data, loss=bce, outputs=LOGITS)
        tw.resume(tmp_path / "run", declared, change=tw.Change(epochs=6))


def test_what_cannot_be_known_is_asked():
    def pairs(o, t):  # a loss of pairs of examples
        difference = o[:, None] - o[None, :]
        return (jnp.where(t[:, None] > t[None, :], jnp.logaddexp(0.0, -difference), 0.0)).mean(axis=1)

    data = blobs(classes=2)
    with pytest.raises(
        ModelError, match=r"must be known .*\nhint: say it in Problem\(...\): outputs='logits'"
    ):
        tw.Problem(own("scalar"), data, loss=pairs)
    assert tw.Problem(own("scalar"), data, loss=pairs, outputs=LOGITS).outputs == LOGITS
    # A model whose outputs are always in [0, 1] leaves no doubt.
    assert tw.Problem(own("scalar", SIGMOID), data, loss=pairs).outputs == PROBABILITIES


@pytest.mark.parametrize(
    ("size", "last", "loss"),
    [("scalar", SIGMOID, bce_logits), ("scalar", SIGMOID, margin), (2, SOFTMAX, cross_entropy)],
)
def test_a_loss_that_contradicts_the_model_is_asked_about(size, last, loss):
    with pytest.raises(ModelError, match="a model whose outputs are probabilities, and a loss that reads"):
        tw.Problem(own(size, last), blobs(classes=2), loss=loss)


def first(loss):
    """A loss of a single output that is meant for the first class: targets 1 mean class 0."""
    return lambda o, t: loss(o, 1 - t)


def balanced(p, t):
    return jnp.where(t == 1, 9.0, 1.0) * bce(p, t) + 3 * p  # weights and a penalty do not turn a loss round


def in_reverse(loss):
    return lambda o, t: loss(o[:, ::-1], t)


FIRST_CLASS = {
    "sigmoid": ("scalar", SIGMOID, first(bce)),
    "sigmoid, where": ("scalar", SIGMOID, first(bce_where)),
    "sigmoid, clipped": ("scalar", SIGMOID, first(bce_clipped)),
    "sigmoid, balanced": ("scalar", SIGMOID, first(balanced)),
    "sigmoid (n, 1)": (1, SIGMOID, flat(first(bce))),
    "logit": ("scalar", lambda z: z, first(bce_logits)),
    "logit, focal": ("scalar", lambda z: z, first(focal)),
    "score": ("scalar", jnp.tanh, first(signed_squares)),
    "margin": ("scalar", lambda z: z, first(margin)),
    "least squares": ("scalar", lambda z: z, first(squares)),
    "log_sigmoid": ("scalar", jax.nn.log_sigmoid, first(log_single)),
}


@pytest.mark.parametrize("name", FIRST_CLASS)
def test_a_single_output_of_the_first_class_is_refused(name):
    # Read as the second's, every prediction would be the other class: accuracy 0 after perfect training.
    size, last, loss = FIRST_CLASS[name]
    declared = {"sigmoid": PROBABILITIES, "logit": LOGITS, "log_sigmoid": LOG_PROBABILITIES, "margin": SCORES}
    for outputs in {None, declared.get(name)}:
        with pytest.raises(ModelError, match=r"must be that of the second class.*\nhint: .*1 - y for y"):
            tw.Problem(own(size, last), blobs(classes=2), loss=loss, outputs=outputs)


@pytest.mark.parametrize("name", ["softmax (n, 2)", "softmax (n, 3)", "sigmoids (n, 3)", "logits (n, 2)"])
def test_outputs_in_another_order_than_the_classes_are_refused(name):
    classes, size, last, loss, meaning = CASES[name]
    for outputs in (None, meaning):
        with pytest.raises(
            ModelError, match=r"in the order of the classes.*for targets 0 .* output \d is the"
        ):
            tw.Problem(own(size, last), blobs(classes=classes), loss=in_reverse(loss), outputs=outputs)


def test_weights_and_penalties_do_not_turn_a_loss_round():
    problem = tw.Problem(own("scalar", SIGMOID), blobs(classes=2), loss=balanced)
    assert problem.outputs == PROBABILITIES


def test_own_losses_of_several_labels_are_read_like_single_outputs():
    x = np.random.default_rng(0).normal(size=(60, 6))
    data = tw.load((x, (x[:, :3] > 0).astype(int)))

    def mean(loss):
        return lambda o, t: loss(o, t).mean(axis=1)

    kinds = ((bce_logits, LOGITS, lambda z: z), (bce, PROBABILITIES, SIGMOID), (margin, SCORES, lambda z: z))
    for loss, meaning, last in kinds:
        assert tw.Problem(own(3, last), data, loss=mean(loss)).outputs == meaning
        with pytest.raises(ModelError, match="must be that of the second class"):
            tw.Problem(own(3, last), data, loss=mean(first(loss)))
        with pytest.raises(ModelError, match="in the order of the classes"):
            tw.Problem(own(3, last), data, loss=in_reverse(mean(loss)))


def test_a_declared_meaning_must_fit_the_loss_and_the_task():
    with pytest.raises(ModelError, match=r"got probs.*\nhint: did you mean 'probabilities'"):
        tw.Problem(own(2), blobs(classes=2), outputs="probs")
    with pytest.raises(ModelError, match="the loss cross_entropy takes logits"):
        tw.Problem(own(2), blobs(classes=2), outputs=PROBABILITIES)
    with pytest.raises(ModelError, match="the task is classification"):
        tw.Problem(own(2), blobs(classes=2), loss=cross_entropy, outputs=VALUES)
    assert tw.Problem(None, line()).outputs == VALUES
    assert tw.Problem(None, blobs()).outputs == LOGITS
    assert tw.Problem(None, blobs(), loss="hinge").outputs == SCORES


def test_hinge_takes_no_sigmoid():
    # The sign of a sigmoid is always positive: every example would be of class 1.
    with pytest.raises(ModelError, match="ends in a sigmoid"):
        tw.Problem(own(1, SIGMOID), blobs(classes=2), loss="hinge")


def test_perplexity_reads_probabilities_as_such_and_refuses_scores():
    data = blobs()
    run = tw.train(tw.Problem(own(3, SOFTMAX), data, loss=nll, metric="perplexity"), RECIPE)
    own_shares = np.take_along_axis(run.outputs(data.test.inputs), data.test.targets[:, None], 1)
    expected = np.exp(-np.log(own_shares.astype(np.float64)).mean())
    assert run.result["test_metric"]["value"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ModelError, match="perplexity: needs probabilities"):
        tw.Problem(own(3), data, loss="hinge", metric="perplexity")


def test_a_loss_for_other_shapes_is_refused_in_our_own_words():
    data = blobs(classes=2)
    with pytest.raises(
        ModelError, match=r"must take the outputs and targets .*IndexError.*\nhint: .*\(batch, 1\)"
    ):
        tw.Problem(own("scalar", SIGMOID), data, loss=lambda o, t: o[:, 0] - t)
    with pytest.raises(ModelError, match="must take the outputs and targets"):
        tw.train(tw.Problem(own(2), data, loss=lambda o, t: o[:, 7, 1], outputs=LOGITS), RECIPE)


def test_an_own_loss_of_a_regression_sees_standardised_targets_and_predict_undoes_it():
    data, seen = line(), []

    def loss(o, t):
        seen.append(t.shape)
        return ((o - t) ** 2)[:, 0]

    run = tw.train(
        tw.Problem(own_line, data, loss=loss), tw.Recipe(tw.AdamW(lr=0.1), batch_size=16, epochs=20)
    )
    x = np.array([[0.0], [1.0]], np.float32)
    assert run.predict(x)["prediction"] == pytest.approx([2, 5], abs=0.3)
    assert abs(float(np.mean(data.train.targets))) < 0.2


def own_line(key):
    return eqx.nn.Linear(1, 1, key=key)


def test_single_outputs_become_two_columns():
    half = np.array([0.5, 0.75, 0.0, 1.0])
    assert class_columns(half, PROBABILITIES).argmax(1).tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(probabilities(half, PROBABILITIES)[:, 1], half)
    with np.errstate(divide="ignore"):
        logs = np.log(half)
    np.testing.assert_allclose(probabilities(logs, LOG_PROBABILITIES)[:, 1], half)
    np.testing.assert_allclose(probabilities(half, LOGITS)[:, 1], 1 / (1 + np.exp(-half)))
    assert probabilities(half, SCORES) is None
    assert class_columns(np.array([-0.5, 0.2]), SCORES).tolist() == [[0.5, -0.5], [-0.2, 0.2]]
    for meaning in (LOGITS, PROBABILITIES, LOG_PROBABILITIES, SCORES):
        single = np.linspace(-3, -0.01, 101) if meaning == LOG_PROBABILITIES else np.linspace(0.01, 0.99, 99)
        decided = class_columns(single, meaning).argmax(1)
        assert decided.tolist() == (single > boundary(meaning)).astype(int).tolist()


def test_probabilities_of_least_squares_are_cut_and_normalised():
    rows = np.array([[1.2, -0.2, 0.0], [0.2, 0.2, 0.4], [-1.0, -2.0, -1.0]])
    shares = probabilities(rows, PROBABILITIES)
    np.testing.assert_allclose(shares, [[1, 0, 0], [0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def test_test_predictions_are_saved_with_class_names_and_row_numbers(tmp_path):
    random = np.random.default_rng(0)
    kind = random.choice(["cat", "dog"], 120)
    frame = pl.DataFrame({"a": np.where(kind == "cat", 1.0, -1.0) + random.normal(0, 0.1, 120), "kind": kind})
    frame[7, "kind"] = None
    data = tw.load(frame, target="kind")
    tw.train(tw.Problem(None, data), tw.Recipe(epochs=1, batch_size=32), keep=tmp_path / "run")
    saved = pl.read_parquet(tmp_path / "run" / "test.parquet")
    assert saved.columns == ["row", "target", "prediction"] and 7 not in saved["row"]
    assert saved["target"].to_list() == frame[saved["row"].to_list(), "kind"].to_list()
    assert set(saved["prediction"]) <= {"cat", "dog"}
    assert confusion(read(tmp_path / "run")).classes == ("cat", "dog")
