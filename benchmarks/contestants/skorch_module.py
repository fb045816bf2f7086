"""The network that `benchmarks.doors` gives skorch: of a module, so that it can be pickled."""

from typing import Any

from torch import nn


class Net(nn.Module):
    """One hidden layer; `skorch.callbacks.InputShapeSetter` sets how many inputs there are.

    Args:
        input_dim: Inputs.
        outputs: Outputs.
    """

    def __init__(self, input_dim: int = 1, outputs: int = 1):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_dim, 16), nn.ReLU(), nn.Linear(16, outputs))

    def forward(self, x: Any) -> Any:
        """Return the outputs, `row output`, of rows of any type of number."""
        return self.layers(x.float())
