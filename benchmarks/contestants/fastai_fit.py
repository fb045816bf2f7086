"""fastai's Learner with a PyTorch DataLoader, as in fastai's guide for PyTorch users; without a log."""

from collections.abc import Callable
from typing import Any

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import SGD

from benchmarks.contestants.epochs import Epochs
from benchmarks.contestants.pytorch import loader, network, tensors


class EpochTimer(Callback):
    """Records the end of each epoch."""

    def __init__(self, epochs: Epochs):
        self.epochs = epochs

    def after_train(self) -> None:
        """Record the end of an epoch."""
        self.epochs.end()


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of epochs."""
    x, y = tensors(setting)
    epochs = Epochs(setting, len(x))
    batches = DataLoaders(loader(x, y, setting["batch"]), loader(x[:0], y[:0], setting["batch"], False))
    learner = Learner(  # shows no progress bar by default
        batches,
        network(setting["sizes"]),
        loss_func=torch.nn.CrossEntropyLoss(),
        opt_func=SGD,
        lr=0.01,
        cbs=[EpochTimer(epochs)],
    )

    def block() -> dict[str, Any]:
        epochs.begin()
        with learner.no_logging():
            learner.fit(epochs.total)
        return epochs.block()

    return block
