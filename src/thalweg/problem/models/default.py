"""The model that is used when none is asked for: one rule, from the task and the shape of the data."""

from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.gpt import GPT
from thalweg.problem.models.mlp import MLP

# Below FEW examples wide layers only learn them by heart; beyond MANY they pay.
FEW = 2_000
MANY = 20_000


def default_model(task: str, input_shape: tuple[int, ...], count: int, outputs: int) -> Architecture:
    """Return a sensible model for data of this shape.

    Text: a GPT of nanoGPT's CPU size. Images (two or three axes): one hidden layer of 256. Tables: two hidden
    layers, of 64 units below 2,000 examples, 128 below 20,000, 256 beyond.

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
        return MLP([None, 256, None]).fitted(input_shape, outputs)
    width = 64 if count < FEW else 128 if count < MANY else 256
    return MLP([None, width, width, None]).fitted(input_shape, outputs)
