"""Keras on JAX: `fit` with many steps per execution, its fastest form."""

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported

import jax
import keras

from benchmarks.contestants.epochs import Epochs
from benchmarks.contestants.mnist import images

# Steps per compiled execution; more were no faster.
STEPS_PER_EXECUTION = 50


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of epochs."""
    if "cache" in setting:
        jax.config.update("jax_compilation_cache_dir", setting["cache"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    x, y = images(setting["folder"], setting.get("rows"))
    whole = len(x) // setting["batch"] * setting["batch"]
    epochs, model = Epochs(setting, len(x)), network(setting["sizes"])
    listener = keras.callbacks.LambdaCallback(on_epoch_end=epochs.end)

    def block() -> dict[str, Any]:
        epochs.begin()
        model.fit(
            x[:whole],
            y[:whole],
            batch_size=setting["batch"],
            epochs=epochs.total,
            verbose=0,
            callbacks=[listener],
        )
        return epochs.block()

    return block


def network(sizes: list[int]) -> keras.Model:
    """Return a compiled network of these widths, ReLU between the layers."""
    hidden = [keras.layers.Dense(width, "relu") for width in sizes[1:-1]]
    model = keras.Sequential([keras.Input((sizes[0],)), *hidden, keras.layers.Dense(sizes[-1])])
    model.compile(
        optimizer=keras.optimizers.SGD(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return model
