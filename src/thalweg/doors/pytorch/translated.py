"""A PyTorch module and its loss as an Equinox module and an objective.

The module takes one example, and is mapped over the batch. Weights are PyTorch's own initial ones: each seed
calls the factory again, after `torch.manual_seed`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from thalweg.core import keys
from thalweg.core.errors import ModelError
from thalweg.core.lazy import torch
from thalweg.doors.pytorch.graph import PYTORCH, Graph, Layers, exported
from thalweg.doors.pytorch.loader import narrow
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.normalisation import BATCH_AXIS, BatchNorm

SAME = 1e-3  # largest difference, as a share of the largest number, that rounding may make


class Translated(eqx.Module):
    """A PyTorch module without batch norm.

    Args:
        weights: Its parameters, by PyTorch's names.
        norms: Its batch norms, by name.
        dropouts: Its dropout layers, in the order of their calls.
        graph: Its forward pass.
    """

    weights: dict[str, Array]
    norms: dict[str, BatchNorm]
    dropouts: list[Dropout]
    graph: Graph = eqx.field(static=True)

    def __call__(self, x: Any, *, key: Key[Array, ""] | None = None) -> Any:
        """Return the outputs of one example."""
        return self._outputs(x, None, key)[0]

    def _outputs(self, x: Any, state: Any, key: Any) -> tuple[Any, Any]:
        states = [state]

        def dropout(number: int, x: Any) -> Any:
            return self.dropouts[number](x, key=None if key is None else jax.random.fold_in(key, number))

        def batch_norm(name: str, x: Any) -> Any:
            # Ours has features in the last axis; the first axis is the batch's, of this one example.
            normal, states[0] = self.norms[name](jnp.moveaxis(x[0], 0, -1), states[0])
            return jnp.moveaxis(normal, -1, 0)[None]

        out = self.graph.run(self.weights, (x[None],), Layers(dropout, batch_norm))
        return out[0], states[0]


class TranslatedWithState(Translated):
    """A PyTorch module with batch norm."""

    def __call__(self, x: Any, state: Any, *, key: Key[Array, ""] | None = None) -> Any:  # type: ignore[override]
        """Return the outputs of one example, and the next running statistics."""
        return self._outputs(x, state, key)


class Program(NamedTuple):
    """A PyTorch program in JAX.

    Args:
        factory: `key -> module`, or module and state.
        objective: Of the model and a batch with `x` and `y`.
        graph: The module's forward pass.
    """

    factory: "_Seeded"
    objective: Callable[..., Any]
    graph: Graph


def _flat(function: Callable[..., Any]) -> Any:
    """Return a module or function as a module of any number of arguments, which the exporter takes.

    Parameters of a module are named `module.` and its own name.
    """

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = function

        def forward(self, *inputs: Any) -> Any:
            return self.module(*inputs)

    return Flat()


def translated(make_model: Callable[[], Any], loss: Any, x: np.ndarray, y: np.ndarray) -> Program:
    """Translate a model and its loss.

    Args:
        make_model: Returns a new PyTorch module, with weights drawn from PyTorch's global generator.
        loss: `loss(outputs, targets)`.
        x, y: A few rows, two at least.

    Raises:
        ModelError: One of them cannot be exported, or does something that has no translation.
    """
    model = make_model()
    if not isinstance(model, torch.nn.Module):
        rule = "make_model must return a torch.nn.Module"
        raise ModelError("torch", rule, got=type(model).__name__, hint="for example lambda: Net()")
    inputs = torch.as_tensor(x)
    if _exported(model.eval(), inputs).active_dropouts:
        rule, hint = "dropout must be off in evaluation mode", "F.dropout(x, p, training=self.training)"
        raise ModelError("torch", rule, got="dropout that is always on", hint=hint)
    graph = _exported(model.train(), inputs)
    outputs = model.eval()(inputs).detach()
    if not isinstance(outputs, torch.Tensor):
        rule = "the model must return one tensor"
        raise ModelError("torch", rule, got=type(outputs).__name__, hint="return the outputs alone")
    compared = _Compared(loss, outputs[:1], torch.as_tensor(y)[:1])
    compared.of(len(x))  # refused before anything is trained, if it must be
    return Program(_Seeded(make_model, graph), _objective(graph, compared), graph)


def _exported(model: Any, inputs: Any) -> Graph:
    """Export a model that is to be called with one row at a time.

    A program for any number of rows is the first choice, as a single row has an axis of size one that code
    may drop. Where the number was fixed (`len(x)` is a number), it is exported for one.
    """
    graph = exported(_flat(model), (inputs,), "model", any_size=True)
    shapes = {name: _shape(each) for name, each in _flat(model).named_parameters()}

    def one(parameters: Any, x: Any) -> Any:
        return graph.run(parameters, (x,), Layers(_none, _none))

    try:
        out = jax.eval_shape(one, shapes, _shape(inputs[:1]))
        if isinstance(out, jax.ShapeDtypeStruct) and out.shape[:1] == (1,):
            return graph
    except (TypeError, ValueError, IndexError):
        pass
    return exported(_flat(model), (inputs[:1],), "model")


def _shape(tensor: Any) -> jax.ShapeDtypeStruct:
    kind = str(tensor.dtype).removeprefix("torch.")
    return jax.ShapeDtypeStruct(tuple(tensor.shape), {"int64": "int32", "float64": "float32"}.get(kind, kind))


class _Compared:
    """A loss, exported for each size of a batch that it is asked for, as its code may count rows.

    Args:
        loss: `loss(outputs, targets)`.
        outputs, targets: Of one row, for their shapes.
    """

    def __init__(self, loss: Any, outputs: Any, targets: Any):
        self._loss, self._outputs, self._targets = _flat(loss), outputs, targets
        self._graphs: dict[int, Graph] = {}

    def of(self, count: int) -> Graph:
        """Return the loss of so many rows."""
        if count not in self._graphs:
            rows = tuple(torch.cat([each] * count) for each in (self._outputs, self._targets))
            self._graphs[count] = exported(self._loss, rows, "loss")
        return self._graphs[count]


def _objective(graph: Graph, loss: _Compared) -> Callable[..., Any]:
    """Return the objective, which takes a state and a key where the module needs them."""

    def compared(outputs: Any, batch: Any) -> Any:
        return loss.of(len(batch["y"])).run({}, (outputs, batch["y"]), Layers(_none, _none))

    def plain(model: Any, batch: Any) -> Any:
        return compared(jax.vmap(model)(batch["x"]), batch)

    def noisy(model: Any, batch: Any, key: Any) -> Any:
        keys = jax.random.split(key, len(batch["x"]))
        return compared(jax.vmap(lambda x, key: model(x, key=key))(batch["x"], keys), batch)

    def normed(model: Any, batch: Any, key: Any, state: Any) -> Any:
        keys = jax.random.split(key, len(batch["x"]))
        mapped = jax.vmap(
            lambda x, state, key: model(x, state, key=key),
            in_axes=(0, None, 0),
            out_axes=(0, None),
            axis_name=BATCH_AXIS,
        )
        outputs, state = mapped(batch["x"], state, keys)
        return compared(outputs, batch), {}, state

    return normed if graph.batch_norms else noisy if graph.dropouts else plain


def _none(which: Any, x: Any) -> Any:
    """Return x: a loss has no dropout, and no batch norm."""
    return x


class _Seeded:
    """A factory `key -> module` that draws PyTorch's own initial weights."""

    def __init__(self, make_model: Callable[[], Any], graph: Graph):
        self._make_model, self._graph = make_model, graph
        self._shapes = [tuple(each.shape) for each in self.drawn(0)]
        self.__name__ = "pytorch"

    @property
    def names(self) -> list[str]:
        """The names of the parameters, in the order of the graph."""
        return self._graph.parameters

    def drawn(self, seed: int) -> list[np.ndarray]:
        """Return the initial weights of a seed of PyTorch's generator."""
        with PYTORCH, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = _flat(self._make_model())
        found = dict(module.named_parameters())
        return [found[name].detach().cpu().numpy().astype(np.float32) for name in self.names]

    def __call__(self, key: Key[Array, ""]) -> Any:
        words = jax.random.key_data(key).ravel()

        def draw(words: Any) -> Any:
            return tuple(self.drawn(int.from_bytes(np.asarray(words).tobytes()[:7], "little")))

        shapes = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in self._shapes)
        weights = dict(zip(self.names, jax.pure_callback(draw, shapes, words), strict=True))
        return self.module(weights)

    def module(self, weights: dict[str, Any]) -> Any:
        """Return the module with these weights, and its state where it has one."""
        graph = self._graph
        dropouts = [Dropout(share) for share in graph.dropouts]
        if not graph.batch_norms:
            return Translated(_trained(weights), {}, dropouts, graph)

        def make() -> Any:
            norms, own = {}, dict(weights)
            for name, (weight, bias) in graph.batch_norms.items():
                scale, shift = own.pop(weight), own.pop(bias)
                layer = BatchNorm(scale.shape[0])
                norms[name] = eqx.tree_at(lambda norm: (norm.scale, norm.shift), layer, (scale, shift))
            return TranslatedWithState(_trained(own), norms, dropouts, graph)

        return eqx.nn.make_with_state(make)()


def _trained(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: jnp.asarray(value) for name, value in weights.items()}


def check_same(program: Program, make_model: Callable, loss: Callable, x: np.ndarray, y: np.ndarray) -> None:
    """Compare loss and gradients with PyTorch's in evaluation mode.

    Raises:
        ModelError: They differ by more than rounding.
    """
    torch.manual_seed(0)
    module = make_model().eval()
    value = loss(module(torch.as_tensor(x)), torch.as_tensor(y))
    if value.ndim:
        rule = "the loss of a batch must be one number"
        raise ModelError("torch", rule, got=f"shape {tuple(value.shape)}", hint="reduction='mean'")
    value.backward()
    own = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    weights = dict(zip(program.factory.names, program.factory.drawn(0), strict=True))
    made = program.factory.module({name: jnp.asarray(each) for name, each in weights.items()})
    ours, state = made if isinstance(made, tuple) else (made, None)
    params, static = eqx.partition(eqx.nn.inference_mode(ours), eqx.is_inexact_array)
    batch = {"x": jnp.asarray(narrow(x)), "y": jnp.asarray(narrow(y))}

    def of(params: Any) -> Any:
        more = (keys.lane_key(0), state)
        extras = more if state is not None else more[:1] if program.graph.dropouts else ()
        result = program.objective(eqx.combine(params, static), batch, *extras)
        return result[0] if isinstance(result, tuple) else result

    try:
        found, gradients = jax.value_and_grad(of)(params)
    except (TypeError, ValueError, NotImplementedError, IndexError) as error:
        rule = "the model must treat each row by itself, in operations that are translated"
        got = str(error).strip().splitlines()[0]
        raise ModelError("torch", rule, got=got, hint="no sizes of a batch inside of the model") from error
    _compare("the loss", np.asarray(found), value.detach().numpy())
    for name, gradient in gradients.weights.items():
        other = own.get(f"module.{name}", own.get(name.removeprefix("module.")))
        if other is not None:
            _compare(f"the gradient of {name.removeprefix('module.')}", np.asarray(gradient), other.numpy())


def _compare(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    if not np.isfinite(theirs).all():
        return  # a loss that is not finite is what is diagnosed
    largest = max(float(np.abs(theirs).max(initial=0.0)), 1e-6)
    apart = float(np.abs(ours - theirs).max(initial=0.0)) / largest
    if not apart <= SAME:  # ours may be NaN
        rule = f"{what} must be PyTorch's within {SAME:.1%}, or nothing can be concluded"
        hint = "each row must be treated by itself, and alike in every call"
        raise ModelError("torch", rule, got=f"{apart:.2%} apart", hint=hint)
