"""The model that is used when none is asked for: one rule, from the task and the shape of the data."""

import math

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.gpt import GPT
from thalweg.problem.models.mlp import MLP

# Below so many examples a network learns them by heart unless most of its units rest at every step.
FEW = 2_000
# With so few inputs there is little to learn by heart, and curves in the plane need all units (spirals:
# 70 % with dropout 0.5, 99.5 % without and with more updates).
NARROW = 4


def default_model(task: str, input_shape: tuple[int, ...], count: int, outputs: int) -> Architecture:
    """Return a sensible model for data of this shape.

    Language: the small GPT. Images (two or three axes): one hidden layer of 512, the textbooks' network.
    Tables: two of 256 with dropout 0.3 (0.1 for regression, whose outputs suffer from the noise; 0.5 below
    2,000 examples). Chosen on digits, california_housing, titanic and adult; `python -m benchmarks run
    defaults` shows what they reach there.

    Args:
        task: `classification`, `regression` or `language`.
        input_shape: Shape of one example.
        count: Training examples.
        outputs: Classes, target values, or the vocabulary.

    Returns:
        The architecture, its open sizes filled in.
    """
    if task == "language":
        return GPT().fitted(input_shape, outputs)
    if len(input_shape) >= 2:
        return MLP([None, 512, None]).fitted(input_shape, outputs)
    dropout = 0.1 if task == "regression" else 0.5 if count < FEW else 0.3
    dropout = 0.0 if math.prod(input_shape) <= NARROW else dropout
    return MLP([None, 256, 256, None], dropout=dropout).fitted(input_shape, outputs)
