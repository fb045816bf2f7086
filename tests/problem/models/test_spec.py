"""The short form of models is parsed, formatted and refused."""

from typing import Any

import jax
import pytest

from thalweg.core.errors import BadInput, ModelError
from thalweg.problem.models import CNN, GPT, LSTM, MLP, LinearModel, ResNet, default_model, parse


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("mlp:512", MLP([None, 512, None])),
        ("mlp:256,128", MLP([None, 256, 128, None])),
        ("mlp:784-512-10", MLP([784, 512, 10])),
        ("mlp:?-512-10", MLP([None, 512, 10])),
        ("mlp", MLP()),
        (
            "mlp:512,activation=gelu,dropout=0.1,normalisation=layer,skip=true",
            MLP([None, 512, None], activation="gelu", dropout=0.1, normalisation="layer", skip=True),
        ),
        ("mlp:initialisation=normal(0.02)", MLP(initialisation="normal(0.02)")),
        ("linear", LinearModel()),
        ("logistic", LinearModel()),
        ("cnn:16,32,hidden=64", CNN([16, 32], hidden=64)),
        ("resnet:18", ResNet(18)),
        ("lstm:64,layers=2,truncation=none", LSTM(64, layers=2)),
        (" gpt: layers=2 , heads=2,width=64 ", GPT(layers=2, heads=2, width=64)),
    ],
)
def test_parses_the_short_form(text, model):
    assert parse(text) == model
    assert parse(parse(text).spec()) == model


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mpl:512", "did you mean 'mlp'"),
        ("mlp:512,activaton=relu", "did you mean 'activation'"),
        ("mlp:512,activation=rleu", "did you mean 'relu'"),
        ("mlp:512,initialisation=heh", "must be a known name"),
        ("mlp:512,initialisation=normal(-1)", "positive number"),
        ("mlp:5x", "cannot read sizes"),
        ("mlp:0", "at least 1"),
        ("mlp:-3", "at least 1"),
        ("mlp:8,dropout=1.0", "below 1"),
        ("mlp:8,dropout=nan", "below 1"),
        ("mlp:8,skip=maybe", "must be one of"),
        ("gpt:3", "takes only settings with a name"),
        ("gpt:width=30,heads=4", "multiple of heads"),
        ("resnet:17", "depth must be one of"),
        ("cnn:", None),
        ("", "known architecture"),
    ],
)
def test_impossible_short_forms_are_refused_with_a_hint(text, words):
    if words is None:
        assert parse(text) == CNN()
        return
    with pytest.raises(ModelError, match=words):
        parse(text)


@pytest.mark.parametrize(
    "sizes", [[784], [], [784, 0, 10], [784, -5, 10], [784, 2.5, 10], [784, None, 10], [784, True, 10], "784"]
)
def test_impossible_sizes_are_refused_at_construction(sizes):
    with pytest.raises(ModelError, match="sizes must"):
        MLP(sizes)


@pytest.mark.parametrize(
    ("model", "shape", "outputs", "words"),
    [
        (
            MLP([784, 512, 10]),
            (8, 8),
            10,
            r"layers.0.weight takes 784 inputs; got 64 from the data, shape \(8, 8\)",
        ),
        (MLP([64, 512, 10]), (8, 8), 3, r"layers.1.weight gives 10 outputs; got 3"),
        (LinearModel([5, 2]), (4,), 2, "takes 5 inputs; got 4"),
        (CNN(), (64,), 3, "takes images"),
        (CNN([8, 8, 8, 8]), (8, 8), 3, "at least 16 pixels"),
        (CNN(inputs=3), (8, 8), 3, "inputs is 3; got 1"),
        (ResNet(8), (4,), 3, "takes images"),
        (LSTM(), (2, 2, 2), 3, "tokens"),
        (GPT(), (2, 2), 3, "tokens"),
        (GPT(context=4), (8,), 3, "takes 4 positions; got 8"),
        (GPT(vocabulary=5), (8,), 3, "vocabulary is 5; got 3"),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_name_the_layer_and_both_shapes(model, shape, outputs, words):
    with pytest.raises(ModelError, match=words):
        model.fitted(shape, outputs)


@pytest.mark.parametrize("text", ["mlp:8", "linear", "cnn", "resnet:8", "lstm", "gpt"])
def test_a_module_with_open_sizes_is_refused(text):
    with pytest.raises(ModelError, match="must be known before the model is made"):
        parse(text)(jax.random.key(0))


def test_an_unknown_setting_in_python_is_refused():
    settings: Any = {"droput": 0.1}
    with pytest.raises(BadInput, match="did you mean 'dropout'"):
        MLP([4, 3], **settings)


@pytest.mark.parametrize(
    ("task", "shape", "count", "outputs"),
    [
        ("classification", (8, 8), 1400, 10),
        ("classification", (28, 28), 60000, 10),
        ("classification", (32, 32, 3), 50000, 10),
        ("regression", (8,), 300, 1),
        ("regression", (8,), 5000, 1),
        ("classification", (100,), 40000, 2),
        ("language", (64,), 1000000, 65),
    ],
)
def test_the_default_model_fits_any_data(task, shape, count, outputs):
    model = default_model(task, shape, count, outputs)
    assert model.fitted(shape, outputs) == model
    assert parse(model.spec()) == model


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((32, 32, 3), "mlp"),
        ((28, 28), "mlp"),
        ((33, 32), "cnn"),
        ((110, 147, 3), "cnn"),
        ((4, 2000), "mlp"),  # too low for three poolings
    ],
)
def test_larger_images_are_convolved_by_default(shape, name):
    assert default_model("classification", shape, 500, 3, images=True).name == name
    assert default_model("classification", shape, 500, 3).name == "mlp"  # such as the window of a series
