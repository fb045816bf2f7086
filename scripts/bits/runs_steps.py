"""Runs of one recipe: every entry of the library's registries, every feed, every option of a step."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bits.data import (
    LeftOut,
    blobs,
    count_data,
    distributions,
    library,
    pixel_data,
    series_data,
    streamed,
    text_data,
    value_data,
)
from bits.harness import RUNS, fit, fit_lanes, param_group, recipe_of, run

# Optimizers that use the whole training split in every update, and need few updates.
LINE_SEARCHES = ("gradient-descent", "l-bfgs")
# Settings of schedules whose defaults suit longer runs than these.
SCHEDULES: dict[str, dict[str, Any]] = {
    "step": {"every": 3.0},
    "cosine-restarts": {"period": 4.0},
    "warmup": {"length": 2.0},
    "plateau": {"patience": 0.0, "threshold": 0.99},
}


# One run per entry of the library's registries, and some for other forms of models and losses.


def with_optimizer(name: str, folder: Path) -> None:
    """Train with one of the optimizers."""
    size = {"batch_size": "full", "steps": 12} if name in LINE_SEARCHES else {}
    fit(folder, recipe=recipe_of(library().OPTIMIZERS[name](), **size))


def with_schedule(name: str, folder: Path) -> None:
    """Train with one of the schedules."""
    schedule = library().SCHEDULES[name](**SCHEDULES.get(name, {}))
    fit(folder, recipe=recipe_of(library().SGD(lr=0.05, momentum=0.9), schedule=schedule))


def with_model(name: str, folder: Path) -> None:
    """Train a small model of one of the architectures."""
    tw = library()
    small: dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]] = {
        "mlp": lambda: (
            tw.MLP([6, 8, 8, 3], activation="gelu", normalisation="layer", dropout=0.2, skip=True),
            blobs(),
            {},
        ),
        "linear": lambda: (tw.LinearModel(), blobs(), {}),
        "tabular": lambda: (tw.Tabular([None, 8, None], members=2, averaged="softmax"), blobs(), {}),
        "cnn": lambda: (tw.CNN([4, 8], hidden=16, normalisation="batch", dropout=0.1), pixel_data(), {}),
        "vgg": lambda: (tw.VGG(8, channels=4), pixel_data(), {"steps": 12}),
        "resnet": lambda: (tw.ResNet(8, channels=4), pixel_data(), {"steps": 12}),
        "gpt": lambda: (
            tw.GPT(layers=1, heads=2, width=8, dropout=0.1, bias=True),
            text_data(),
            {"steps": 20},
        ),
        "rnn": lambda: (tw.RNN(8, embedding=4, truncation=4), text_data(), {"steps": 20}),
        "lstm": lambda: (tw.LSTM(8, embedding=4, layers=2, dropout=0.1), text_data(), {"steps": 20}),
        "gru": lambda: (tw.GRU(8), series_data(), {"steps": 20}),
    }
    if name not in small:
        raise LeftOut("a model without a small configuration in this script")
    model, data, settings = small[name]()
    fit(folder, tw.Problem(model, data), recipe_of(**settings))


def with_loss(name: str, folder: Path) -> None:
    """Train on one of the losses."""
    tw = library()
    if name == "kl":
        data, model = distributions(), tw.MLP([6, 8, 3])
    elif name in ("mse", "mae", "huber", "quantile"):
        data, model = value_data(), tw.MLP([6, 8, None if name == "quantile" else 1])
    elif name == "poisson":
        data, model = count_data(), tw.MLP([6, 8, 1])
    elif name == "ordinal":
        data, model = blobs(), tw.MLP([6, 8, 2])
    elif name == "binary_cross_entropy":
        data, model = blobs(2), tw.MLP([6, 8, 1])
    else:
        data, model = blobs(), tw.MLP([6, 8, 3])
    fit(folder, tw.Problem(model, data, loss=name))


@run("loss/function")
def _function(folder: Path) -> None:
    tw = library()

    def fourth_power(outputs: Any, targets: Any) -> Any:
        return ((outputs - targets) ** 4).mean(-1)

    fit(folder, tw.Problem(tw.MLP([6, 8, 1]), value_data(), loss=fourth_power, metric="mae"))


@run("loss/smoothed")
def _smoothed(folder: Path) -> None:
    tw = library()
    fit(folder, tw.Problem(tw.MLP([6, 8, 3]), blobs(), loss="cross_entropy:smoothing=0.1", metric="top5"))


@run("loss/perplexity")
def _perplexity(folder: Path) -> None:
    tw = library()
    fit(folder, tw.Problem(tw.MLP([6, 8, 3]), blobs(), metric="perplexity"))


def _with_layers(settings: dict[str, Any], folder: Path) -> None:
    tw = library()
    fit(folder, tw.Problem(tw.MLP([6, 8, 8, 3], **settings), blobs()), recipe_of(steps=30))


_LAYERS = (
    ("tanh", "batch", "glorot"),
    ("silu", "group", "lecun"),
    ("leaky_relu", "rms", "orthogonal"),
    ("sigmoid", "none", "he_uniform"),
)
for _layers in _LAYERS:
    _settings = dict(zip(("activation", "normalisation", "initialisation"), _layers, strict=True))
    RUNS[f"part/{'-'.join(_layers)}"] = partial(_with_layers, _settings)


# Feeds.


@run("feed/order")
def _order(folder: Path) -> None:
    fit(folder, recipe=recipe_of(shuffle="none"))


@run("feed/once")
def _once(folder: Path) -> None:
    fit(folder, recipe=recipe_of(shuffle="once", last_batch="drop"))


@run("feed/replacement")
def _replacement(folder: Path) -> None:
    fit(folder, recipe=recipe_of(shuffle="replacement"))


@run("feed/full")
def _full(folder: Path) -> None:
    fit(folder, recipe=recipe_of(batch_size="full", steps=60))


@run("feed/one")
def _one(folder: Path) -> None:
    fit(folder, recipe=recipe_of(batch_size=1, steps=None, epochs=1))


@run("feed/continued")
def _continued(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.LSTM(8, embedding=4), text_data())
    fit(folder, problem, recipe_of(shuffle="continued", batch_size=8, steps=60))


@run("feed/streamed")
def _stream(folder: Path) -> None:
    fit(folder, streamed())


@run("feed/no-validation")
def _no_validation(folder: Path) -> None:
    tw = library()
    fit(folder, tw.Problem(tw.MLP([6, 8, 3]), blobs(validation=0.0)), recipe_of(epochs=5))


# Options of a step besides its optimizer.


@run("step/accumulate")
def _accumulate(folder: Path) -> None:
    fit(folder, recipe=recipe_of(accumulate=3))


@run("step/clip-norm")
def _clip_norm(folder: Path) -> None:
    fit(folder, recipe=recipe_of(clip_norm=0.3))


@run("step/clip-value")
def _clip_value(folder: Path) -> None:
    fit(folder, recipe=recipe_of(clip_value=0.05))


@run("step/agc")
def _agc(folder: Path) -> None:
    fit(folder, recipe=recipe_of(agc=0.05))


@run("step/noise")
def _noise(folder: Path) -> None:
    fit(folder, recipe=recipe_of(noise=0.1))


@run("step/skip-nonfinite")
def _skip(folder: Path) -> None:
    # Overflows, so some updates are skipped.
    fit(folder, recipe=recipe_of(library().SGD(lr=1e30), skip_nonfinite=True, steps=40))


@run("step/rate-rule")
def _rate_rule(folder: Path) -> None:
    fit(folder, recipe=recipe_of(rate_rule="sqrt", rate_batch=64))


@run("step/groups")
def _groups(folder: Path) -> None:
    tw = library()
    groups = (
        param_group(pattern="layers.0.*", lr_factor=0.1, weight_decay=0.5),
        param_group(role="bias", weight_decay=0.0),
    )
    fit(folder, recipe=recipe_of(tw.AdamW(lr=3e-3, weight_decay=0.1), groups=groups))


@run("step/frozen")
def _frozen(folder: Path) -> None:
    fit(folder, recipe=recipe_of(groups=(param_group(pattern="layers.0.*", frozen=True),)))


@run("step/sgd-forms")
def _forms(folder: Path) -> None:
    sgd = partial(library().SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
    rules = [
        sgd(nesterov=True),
        sgd(decay_form="whole", remember="steps"),
        sgd(decay_form="decoupled"),
    ]
    fit_lanes(folder, [recipe_of(rule, schedule=library().Cosine()) for rule in rules], strict=True)


@run("average/ema")
def _ema(folder: Path) -> None:
    fit(folder, recipe=recipe_of(averaging=library().EMA(decay=0.9)))


@run("average/swa")
def _swa(folder: Path) -> None:
    fit(folder, recipe=recipe_of(averaging=library().SWA(start=0.5)))


@run("average/tail")
def _tail(folder: Path) -> None:
    fit(folder, recipe=recipe_of(averaging=library().Tail()))


@run("precision/bf16")
def _bf16(folder: Path) -> None:
    fit(folder, recipe=recipe_of(precision="bf16"))


@run("precision/f16")
def _f16(folder: Path) -> None:
    fit(folder, recipe=recipe_of(precision="f16"))


@run("precision/f64")
def _f64(folder: Path) -> None:
    jax: Any = importlib.import_module("jax")
    with jax.enable_x64(True):
        fit(folder, recipe=recipe_of(precision="f64"))


@run("step/augment")
def _augmented(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.CNN([4], hidden=8), pixel_data())
    fit(folder, problem, recipe_of(augment="crop-flip-cutout", steps=30))
