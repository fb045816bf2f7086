"""A PyTorch module's forward pass as a function of arrays: what `torch.export` records, run in JAX.

Two layers behave otherwise while training, and are left to the caller: dropout, numbered in the order of the
program, and batch norm, named by the layer that holds its running statistics.
"""

import operator
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from thalweg.core.errors import ModelError, ThalwegError
from thalweg.core.lazy import torch
from thalweg.doors.pytorch.operations import OPERATIONS

DROPOUTS, BATCH_NORM = ("dropout", "feature_dropout"), "batch_norm"
ATTENTION = "scaled_dot_product_attention"  # whose weights may be dropped
OWN = (*DROPOUTS, BATCH_NORM)
# Arms are traced in several threads, and PyTorch's exporter and its global generator serve one at a time.
PYTORCH = threading.RLock()


class Layers(NamedTuple):
    """What a caller does for layers that behave otherwise while training.

    Args:
        dropout: `(number, x) -> x`.
        batch_norm: `(name, x) -> x`.
    """

    dropout: Callable[[int, Any], Any]
    batch_norm: Callable[[str, Any], Any]


class Graph:
    """An exported program. It is a static argument of compiled functions: equal to itself alone.

    Args:
        program: From `torch.export.export`.
    """

    def __init__(self, program: Any):
        self._nodes = list(program.graph.nodes)
        kinds = torch.export.graph_signature.InputKind
        names = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        tensors = {**program.state_dict, **program.constants}
        self.parameters = [s.target for s in names.values() if s.kind == kinds.PARAMETER]
        self._targets = {name: s.target for name, s in names.items() if s.target is not None}
        # Buffers and constants are the same for every seed; running statistics are the batch norms' own.
        self._constants = {
            s.target: _array(tensors[s.target])
            for s in names.values()
            if s.kind in (kinds.BUFFER, kinds.CONSTANT_TENSOR)
        }
        self._module = program.graph_module
        self._check()

    @property
    def dropouts(self) -> list[float]:
        """The shares that are dropped, in the order of the program."""
        return [share for share, _ in map(_dropped, self._nodes) if share is not None]

    @property
    def active_dropouts(self) -> int:
        """How many dropouts are on in the mode that was exported."""
        return sum(active for _, active in map(_dropped, self._nodes))

    @property
    def batch_norms(self) -> dict[str, tuple[str, str]]:
        """The parameters of every batch norm, weight and bias, by the name of its layer."""
        found = {}
        for node in self._nodes:
            if _name(node) == BATCH_NORM:
                weight, bias = (self._targets[each.name] for each in node.args[1:3])
                found[self._norm(node)] = (weight, bias)
        return found

    def run(self, parameters: Mapping[str, Any], inputs: Sequence[Any], layers: Layers) -> Any:
        """Return what the module returns.

        Args:
            parameters: By the module's own names.
            inputs: The arguments of its call.
            layers: Dropout and batch norm.
        """
        env: dict[Any, Any] = {}
        waiting, dropped = list(inputs), 0
        for node in self._nodes:
            if node.op == "placeholder":
                target = self._targets.get(node.name)
                known = parameters.get(target, self._constants.get(target)) if target else waiting.pop(0)
                env[node] = known  # None: a batch norm's own, or unused
            elif node.op == "get_attr":
                env[node] = _array(getattr(self._module, node.target))
            elif node.op == "output":
                return torch.fx.node.map_arg(node.args[0][0], env.__getitem__)
            elif _name(node) in DROPOUTS:
                env[node], dropped = layers.dropout(dropped, env[node.args[0]]), dropped + 1
            elif _name(node) == BATCH_NORM:
                env[node] = layers.batch_norm(self._norm(node), env[node.args[0]])
            else:
                args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), env.__getitem__)
                if _name(node) == ATTENTION and _dropped(node)[0] is not None:
                    kwargs = {**kwargs, "drop": partial(layers.dropout, dropped)}
                    dropped += 1
                env[node] = _called(node, args, kwargs)
                if _name(node).endswith("_") and isinstance(node.args[0], torch.fx.Node):
                    env[node.args[0]] = env[node]  # changed in place
        raise AssertionError("a program without an output")

    def _norm(self, node: Any) -> str:
        return self._targets[node.args[3].name].rpartition(".")[0]

    def _check(self) -> None:
        """Refuse what has no translation, before anything is trained."""
        called = [node for node in self._nodes if node.op == "call_function"]
        unknown = sorted({_name(node) for node in called if _function(node) is None} - set(OWN))
        if unknown:
            hint = "leave it out, or diagnose the part of the model without it"
            raise ModelError(
                "torch", "has an operation without a translation", got=", ".join(unknown), hint=hint
            )
        for node in called:
            if _name(node) == BATCH_NORM and (None in node.args[1:4]):
                rule = "batch norm must have running statistics, a weight and a bias"
                raise ModelError("torch", rule, hint="track_running_stats=True, affine=True")


def exported(module: Any, inputs: tuple[Any, ...], what: str, *, any_size: bool = False) -> Graph:
    """Export a module for batches of these inputs' size.

    Args:
        module: A PyTorch module, in the mode that is meant.
        inputs: Tensors, `row ...`.
        what: What it is, for the message: `model` or `loss`.
        any_size: Whether batches of other sizes are to be taken as well, where the module's code allows it.

    Raises:
        ModelError: It cannot be exported, or has operations without a translation.
    """
    dynamic = (tuple({0: torch.export.Dim.AUTO} for _ in inputs),) if any_size else None
    try:
        with PYTORCH, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Graph(torch.export.export(module, inputs, dynamic_shapes=dynamic, strict=False))
    except ThalwegError:
        raise
    except Exception as error:  # whatever the user's code and the exporter raise
        said = str(error).strip().splitlines()
        rule = f"the {what} must be exportable: torch.export.export could not trace it"
        got = f"{type(error).__name__}: {said[0] if said else ''}"
        raise ModelError("torch", rule, got=got, hint="no branches that depend on values") from error


def _dropped(node: Any) -> tuple[float | None, bool]:
    """Return the share that a node drops, None if it drops nothing, and whether it does so in this mode."""
    if _name(node) in DROPOUTS:
        return float(node.args[1]), bool(node.args[2])
    share = float(node.args[4]) if _name(node) == ATTENTION and len(node.args) > 4 else 0.0
    return (share, True) if share else (None, False)


def _called(node: Any, args: Any, kwargs: Any) -> Any:
    """Return what a node computes.

    Raises:
        ModelError: It does something that has no translation.
    """
    function = _function(node)
    assert function is not None  # `_check` has looked
    try:
        return function(*args, **kwargs)
    except NotImplementedError as error:
        hint = "leave it out, or diagnose the part of the model without it"
        raise ModelError(
            "torch", "has an operation without a translation", got=str(error), hint=hint
        ) from error


def _name(node: Any) -> str:
    """Return the name of an operation without its overload; empty for a node that calls nothing."""
    return str(getattr(node.target, "__name__", node.target)).partition(".")[0] if node.op != "output" else ""


def _function(node: Any) -> Callable[..., Any] | None:
    """Return what computes a node in JAX; None where there is nothing."""
    module = getattr(node.target, "__module__", "")
    if module in (operator.__name__, "_operator", "builtins", "math"):
        return node.target
    name = _name(node)
    return OPERATIONS.get(name) or OPERATIONS.get(name.removesuffix("_"))


def _array(tensor: Any) -> Any:
    values = tensor.detach().cpu().numpy()
    kinds: dict[Any, Any] = {np.dtype(np.float64): np.float32, np.dtype(np.int64): np.int32}
    return jnp.asarray(values.astype(kinds.get(values.dtype, values.dtype)))
