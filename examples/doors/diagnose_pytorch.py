"""A PyTorch program that does not learn, and why: `python examples/doors/diagnose_pytorch.py`.

A convolutional network for handwritten digits ends in softmax, and its loss applies softmax again.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg as tw


class Net(nn.Module):
    """Two convolutions and an affine layer."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        """Return what the loss takes for logits."""
        return torch.softmax(self.out(self.features(x).flatten(1)), dim=1)


def main(rows: int = 800) -> tw.Diagnosis:
    """Diagnose it on some rows."""
    digits = load_digits()
    images = torch.as_tensor(digits.images[:rows, None] / 16, dtype=torch.float32)
    labels = torch.as_tensor(digits.target[:rows].astype(np.int64))
    return tw.diagnose_torch(
        make_model=Net,
        make_optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05),
        loader=DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        epochs=10,
    )


if __name__ == "__main__":
    answer = main()
    print(answer)
    for cause in answer.causes:
        print(cause.name, cause.proof, cause.change and cause.change.line)
