"""The problem and recipe of Thalweg's contestants; uses only Thalweg's public names."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import thalweg as tw


def problem(setting: dict[str, Any]) -> tw.Problem:
    """Return MNIST's training split, or its first `rows`, with an MLP of `sizes` or a CNN of `channels`.

    For networks whose input is not MNIST's, the data is random points in two classes.
    """
    if "channels" not in setting and setting["sizes"][0] != 784:
        generator = np.random.default_rng(0)
        points = generator.normal(size=(10_000, setting["sizes"][0])).astype(np.float32)
        data = tw.load((points, (points.sum(axis=1) > 0).astype(np.int64)), validation=0.0)
    else:
        data = tw.load("mnist", folder=setting["folder"], validation=0.0)
    if "rows" in setting:
        first = tw.Rows(data.train.inputs[: setting["rows"]], data.train.targets[: setting["rows"]])
        data = dataclasses.replace(data, train=first)
    model = tw.CNN(setting["channels"]) if "channels" in setting else tw.MLP(setting["sizes"])
    return tw.Problem(model, data)


def recipe(setting: dict[str, Any], **more: Any) -> tw.Recipe:
    """Return a recipe with plain SGD 0.01; `more` sets its length and the handling of the last batch."""
    length = {} if "epochs" in more else {"steps": 2**30}
    return tw.Recipe(tw.SGD(lr=0.01), batch_size=setting["batch"], **(length | more))
