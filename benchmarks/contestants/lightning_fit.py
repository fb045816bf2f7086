"""Lightning's Trainer with a DataLoader, as in its documentation; logger, checkpoints and bar are off."""

import warnings
from collections.abc import Callable
from typing import Any

import lightning
import torch

from benchmarks.contestants.epochs import Epochs
from benchmarks.contestants.pytorch import loader, network, tensors


class Module(lightning.LightningModule):
    """A network with its loss and optimizer."""

    def __init__(self, sizes: list[int]):
        super().__init__()
        self.network, self.loss = network(sizes), torch.nn.CrossEntropyLoss()

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Return the batch's loss."""
        return self.loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


class EpochTimer(lightning.Callback):
    """Records the end of each epoch."""

    def __init__(self, epochs: Epochs):
        self.on_train_epoch_end = epochs.end  # type: ignore[method-assign]


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of epochs."""
    warnings.simplefilter("ignore")  # hints about loader workers, which are slower here
    x, y = tensors(setting)
    epochs, module, batches = (
        Epochs(setting, len(x)),
        Module(setting["sizes"]),
        loader(x, y, setting["batch"]),
    )

    def block() -> dict[str, Any]:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=epochs.total,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[EpochTimer(epochs)],
        )
        epochs.begin()
        trainer.fit(module, batches)
        return epochs.block()

    return block
