"""What torchinfo, fvcore, accelerate and PyTorch say of a network's cost; prints JSON.

Runs by itself under any Python that has PyTorch, so that none of them need be in the environment of Thalweg.
`activation_memory_budget` is a setting of torch.compile's partitioner; what it keeps for the backward pass is
counted as autograd saves it, without parameters and inputs.
"""

import importlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import torch
from torch import nn

BUDGETS = (1.0, 0.5, 0.25, 0.0)


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the network of `benchmarks.cost_rivals.MODELS`, and the shape of an example."""
    kind, _, settings = name.partition(":")
    if kind == "mlp":
        sizes = [784, *map(int, settings.split(",")), 10]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1]), (784,)
    convolutions: list[nn.Module] = []
    for inputs, outputs in ((1, 32), (32, 64)):
        convolutions += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*convolutions, *dense), (1, 28, 28)


def by_torchinfo(model: nn.Module, inputs: torch.Tensor) -> dict[str, Any]:
    """Return what its summary says; multiplications of the batch, one with its addition."""
    found = importlib.import_module("torchinfo").summary(model, input_data=inputs, verbose=0)
    return {
        "multiplications": found.total_mult_adds,
        "parameters": found.total_params,
        "activations": found.total_output_bytes,
        "memory": found.total_output_bytes + found.total_param_bytes + found.total_input,
    }


def by_fvcore(model: nn.Module, inputs: torch.Tensor) -> dict[str, Any]:
    """Return its count, in which a multiplication and its addition are one."""
    module = importlib.import_module("fvcore.nn")
    counted = module.FlopCountAnalysis(model, inputs).unsupported_ops_warnings(False).total()
    return {"multiplications": int(counted), "parameters": module.parameter_count(model)[""]}


def by_accelerate(model: nn.Module, inputs: torch.Tensor) -> dict[str, Any]:
    """Return what `accelerate estimate-memory` prints for training with Adam: four times the parameters.

    The command takes names of models on a hub; this is the function that it calls.
    """
    total, _ = importlib.import_module("accelerate.utils").calculate_maximum_sizes(model)
    return {"memory": 4 * total}


def kept(model: Callable[..., torch.Tensor], apart: nn.Module, inputs: torch.Tensor) -> int:
    """Return the bytes that a forward pass saves for the backward pass, without parameters and inputs."""
    known = {each.untyped_storage().data_ptr() for each in (*apart.parameters(), inputs)}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = nn.functional.cross_entropy(model(inputs), torch.zeros(len(inputs), dtype=torch.long))
    total = sum(saved.values())
    loss.backward()
    return total


def by_budget(model: nn.Module, inputs: torch.Tensor) -> dict[str, int]:
    """Return what is kept under each `activation_memory_budget`."""
    config = importlib.import_module("torch._functorch.config")
    found = {}
    for budget in BUDGETS:
        torch._dynamo.reset()
        with config.patch(activation_memory_budget=budget):
            compiled = torch.compile(model, backend="aot_eager_decomp_partition")
            found[str(budget)] = kept(compiled, model, inputs)
    return found


def measured(name: str, batch: int) -> dict[str, Any]:
    """Return everything of one network; of what is not installed or fails, the error."""
    model, shape = network(name)
    inputs = torch.zeros(batch, *shape)
    found: dict[str, Any] = {}
    for key, by in (("torchinfo", by_torchinfo), ("fvcore", by_fvcore), ("accelerate", by_accelerate)):
        try:
            found[key] = by(model, inputs) | {"version": version(key)}
        except Exception as error:
            found[key] = {"error": f"{type(error).__name__}: {error}"[:120]}
    found["torch"] = {"activations": kept(model, model, inputs), "version": torch.__version__}
    found["budgets"] = by_budget(model, inputs)
    return found


if __name__ == "__main__":
    print(json.dumps({name: measured(name, int(batch)) for name, batch in json.loads(sys.argv[1]).items()}))
