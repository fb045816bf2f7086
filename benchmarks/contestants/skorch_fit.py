"""skorch's NeuralNetClassifier, without a validation split."""

from collections.abc import Callable
from typing import Any

import skorch
import torch

from benchmarks.contestants.epochs import Epochs
from benchmarks.contestants.pytorch import network, tensors


class EpochTimer(skorch.callbacks.Callback):
    """Records the end of each epoch."""

    def __init__(self, epochs: Epochs):
        self.epochs = epochs

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Record the end of an epoch."""
        self.epochs.end()


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of epochs."""
    x, y = tensors(setting)
    epochs = Epochs(setting, len(x))
    net = skorch.NeuralNetClassifier(
        network(setting["sizes"]),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        batch_size=setting["batch"],
        max_epochs=epochs.total,
        iterator_train__shuffle=True,
        iterator_train__drop_last=True,
        train_split=None,
        verbose=0,
        callbacks=[EpochTimer(epochs)],
    ).initialize()

    def block() -> dict[str, Any]:
        epochs.begin()
        net.partial_fit(x, y)
        return epochs.block()

    return block
