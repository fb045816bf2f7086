"""Thalweg's bare engine loop on tiny Shakespeare: the GPT, AdamW with warmup, cosine and clipping."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
from jax import Array

import thalweg as tw
from benchmarks.contestants.engine import Loop
from thalweg.engine import compilation


class Mapped(eqx.Module):
    """Wraps a model for whole batches as one for single examples, which is mapped over the batch."""

    module: Any

    def __call__(self, x: Array) -> Array:
        """Return the logits of one example."""
        return self.module(x)


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates."""
    compilation.enable_cache()
    loop = Loop(*work(setting))
    steps = setting["steps"]
    return lambda: {"seconds": loop.run(steps), "examples": steps * setting["batch"], "steps": steps}


def work(setting: dict[str, Any]) -> tuple[tw.Problem, list[tw.Recipe]]:
    """Return the problem and its recipe."""
    data = tw.load("tinyshakespeare", folder=setting["folder"], context=setting["context"])
    model: Any = tw.GPT().fitted((setting["context"],), len(data.preparation.classes or ()))
    if setting.get("mapped"):
        architecture = model
        model = lambda key: Mapped(architecture(key))  # noqa: E731 - a factory
    recipe = tw.Recipe(
        tw.AdamW(lr=1e-3, b1=0.9, b2=0.99, weight_decay=0.1),
        schedule=tw.WarmupCosine(warmup=100, floor=0.1, unit="steps"),
        batch_size=setting["batch"],
        steps=2**20,
        clip_norm=1.0,
    )
    return tw.Problem(model, data), [recipe]
