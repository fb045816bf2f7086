"""A sweep with torch.func: stacked networks, one vmapped gradient, a manual update, the same batches."""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.contestants.pytorch import endless, network, tensors


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates of `lanes` networks."""
    x, y = tensors(setting)
    lanes, steps = setting["lanes"], setting["steps"]
    networks = [network(setting["sizes"]) for _ in range(lanes)]
    params = {name: value.detach() for name, value in stack_module_state(networks)[0].items()}
    rates = torch.logspace(-4, -1, lanes)
    batches = endless(x, y, setting["batch"])
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def loss(
        network_params: dict[str, torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(functional_call(skeleton, network_params, (inputs,)), labels)

    gradients = vmap(grad(loss), in_dims=(0, None, None))

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        for _ in range(steps):
            inputs, labels = next(batches)
            grads = gradients(params, inputs, labels)
            for name, value in params.items():
                value.addcmul_(grads[name], rates.view(-1, *[1] * (value.ndim - 1)), value=-1)
        return {
            "seconds": time.perf_counter() - start,
            "examples": lanes * steps * setting["batch"],
            "lane_steps": lanes * steps,
        }

    return block
