"""Rows and recipe of a PyTorch program: what its loader and its optimizer say."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thalweg.core.errors import BadInput, DataError, ModelError, RecipeError
from thalweg.core.lazy import torch
from thalweg.core.limits import VARIABLE, as_bytes, max_bytes
from thalweg.recipe.optimizers import (
    SGD,
    Adadelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
)
from thalweg.recipe.recipe import Recipe


def _adam(kind: Callable[..., Optimizer]) -> Callable[[Mapping[str, Any]], Optimizer]:
    def made(group: Mapping[str, Any]) -> Optimizer:
        b1, b2 = group["betas"]
        return kind(lr=group["lr"], b1=float(b1), b2=float(b2), eps=group["eps"], **_decay(group))

    return made


def _decay(group: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight_decay": float(group["weight_decay"])} if group["weight_decay"] else {}


def _sgd(group: Mapping[str, Any]) -> Optimizer:
    if group["dampening"]:
        raise _refused("SGD with dampening")
    momentum: dict[str, Any] = {}
    if group["momentum"]:
        momentum = {"momentum": group["momentum"], "nesterov": group["nesterov"]}
    return SGD(lr=group["lr"], **momentum, **_decay(group))


def _adam_or_adamw(kind: Callable[..., Optimizer]) -> Callable[[Mapping[str, Any]], Optimizer]:
    def made(group: Mapping[str, Any]) -> Optimizer:
        if group[
            "amsgrad"
        ]:  # PyTorch takes the largest mean of squares before its correction, Optax after it
            raise _refused("amsgrad=True")
        return _adam(kind if group["weight_decay"] else Adam)(group)

    return made


def _rmsprop(group: Mapping[str, Any]) -> Optimizer:
    more: dict[str, Any] = {"momentum": group["momentum"]} if group["momentum"] else {}
    more |= {"decay": group["alpha"], "eps": group["eps"], "centred": group["centered"], **_decay(group)}
    return RMSprop(lr=group["lr"], **more)


def _adagrad(group: Mapping[str, Any]) -> Optimizer:
    if group["lr_decay"]:
        raise _refused("Adagrad with lr_decay")
    more = {"initial": float(group["initial_accumulator_value"]), "eps": group["eps"], **_decay(group)}
    return AdaGrad(lr=group["lr"], **more)


def _adadelta(group: Mapping[str, Any]) -> Optimizer:
    return Adadelta(lr=group["lr"], decay=group["rho"], eps=group["eps"], **_decay(group))


OPTIMIZERS: dict[str, Callable[[Mapping[str, Any]], Optimizer]] = {
    "SGD": _sgd,
    "Adam": _adam_or_adamw(Adam),
    "AdamW": _adam_or_adamw(AdamW),
    "Adamax": _adam(Adamax),
    "NAdam": _adam(NAdam),
    "RAdam": _adam(RAdam),
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
}


def check_all_trained(model: Any, optimizer: Any) -> None:
    """Refuse a model of which some parameters are not trained.

    Raises:
        ModelError: They are frozen, or not given to the optimizer.
    """
    given = {id(each) for group in optimizer.param_groups for each in group["params"]}
    left = [n for n, each in model.named_parameters() if id(each) not in given or not each.requires_grad]
    if left:
        hint = "give all of model.parameters() to the optimizer, none of them frozen"
        raise ModelError("torch", "every parameter must be trained", got=f"{left[0]} is not", hint=hint)


def recipe_of(optimizer: Any, loader: Any, epochs: int, seed: int) -> Recipe:
    """Return the recipe of an optimizer and a loader; weight decay spares biases, which PyTorch's does not.

    Args:
        optimizer: A `torch.optim` optimizer over all parameters of a model.
        loader: The `DataLoader` of the training rows.
        epochs: Passes over it.
        seed: Seed of weights and order.

    Raises:
        RecipeError: The optimizer has no counterpart, or groups that differ.
    """
    name = type(optimizer).__name__
    if name not in OPTIMIZERS or type(optimizer) is not getattr(torch.optim, name, None):
        raise _refused(name)
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    if any(each != settings[0] for each in settings):
        raise _refused("groups of parameters with settings of their own")
    if settings[0].get("maximize"):
        raise RecipeError(
            "torch",
            "the optimizer must go downhill",
            got="maximize=True",
            hint="leave maximize out, or negate the loss",
            cause="lr_sign",
        )
    group = {k: float(v) if isinstance(v, torch.Tensor) else v for k, v in settings[0].items()}
    made = OPTIMIZERS[name](group)
    return Recipe(
        made,
        batch_size=min(int(loader.batch_size), len(loader.dataset)),
        epochs=epochs,
        shuffle=_order(loader.sampler),
        last_batch="drop" if loader.drop_last else "keep",
        seed=seed,
    )


def _order(sampler: Any) -> str:
    """Return the order of rows that a loader's sampler makes, as a setting of the recipe."""
    if type(sampler) is torch.utils.data.SequentialSampler:
        return "none"
    if type(sampler) is torch.utils.data.RandomSampler:
        return "replacement" if sampler.replacement else "reshuffle"
    hint = "shuffle=True; weights of rows belong into the loss"
    rule = "the loader must take rows in order or at random"
    raise BadInput("torch", rule, got=type(sampler).__name__, hint=hint)


def rows_of(loader: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows of a loader's dataset, in its order and types.

    Raises:
        BadInput: It is no loader, or gives something else than pairs of tensors.
    """
    rule, hint = "needs a torch.utils.data.DataLoader of pairs (x, y)", "DataLoader(TensorDataset(x, y), 32)"
    kinds = torch.utils.data
    if not isinstance(loader, kinds.DataLoader) or isinstance(loader.dataset, kinds.IterableDataset):
        raise BadInput("torch", rule, got=type(getattr(loader, "dataset", loader)).__name__, hint=hint)
    if loader.batch_size is None:
        raise BadInput("torch", "the loader must have a batch size", got="batch_size=None", hint=hint)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    taken = 0
    for batch in kinds.DataLoader(loader.dataset, batch_size=1024, collate_fn=loader.collate_fn):
        if not (isinstance(batch, list | tuple) and len(batch) == 2):
            raise BadInput("torch", rule, got=f"batches of {type(batch).__name__}", hint=hint)
        if not all(isinstance(each, torch.Tensor) for each in batch):
            got = " and ".join(type(each).__name__ for each in batch)
            raise BadInput("torch", rule, got=f"pairs of {got}", hint=hint)
        pair = tuple(each.detach().cpu().numpy() for each in batch)
        parts.append((pair[0], pair[1]))
        taken += sum(each.nbytes for each in pair)
        if taken > max_bytes():
            rule, hint = f"its rows may take at most {as_bytes(max_bytes())}", f"a Subset, or set {VARIABLE}"
            raise DataError("torch", rule, got="more", hint=hint)
    if sum(len(part[0]) for part in parts) < 2:
        raise BadInput("torch", "the loader must have at least two rows", got=len(parts), hint=hint)
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    return x, y


def narrow(values: np.ndarray) -> np.ndarray:
    """Return rows in the types that are trained on."""
    kinds = {"float64": np.float32, "float16": np.float32, "int64": np.int32}
    return values.astype(kinds.get(values.dtype.name, values.dtype))


def _refused(got: str) -> RecipeError:
    hint = f"one of {', '.join(OPTIMIZERS)}, with one group of parameters"
    return RecipeError("torch", "the optimizer must be one with a counterpart here", got=got, hint=hint)
