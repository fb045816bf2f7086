"""Ensembles that `fit` trains as one model: which network, on which folds."""

import math
from dataclasses import replace
from typing import Any

from thalweg.core.caller import argument, option
from thalweg.core.errors import ModelError
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.rules import NumberRule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.validation_folds import MemberRows, why_not, with_validation_folds
from thalweg.problem.losses import Loss, as_loss, default_loss
from thalweg.problem.losses.outputs import LOGITS
from thalweg.problem.models import MLP, Tabular
from thalweg.problem.models.tabular import ALL, MEAN, NONE, PERIODIC, SIGMOID, SOFTMAX, as_text

# Below so many rows a validation part of its own is too small to choose by, and its rows are missed.
FEW_ROWS = 2_000
# Members of the ensemble that `fit` trains on a table without being asked, and rows up to which it does:
# the cost grows with both, and larger tables were not measured.
MEMBERS, MOST_ROWS = 8, 10_000
# What an MLP may set to become an ensemble's.
_OF_MLP = ("sizes", "activation", "dropout")


def with_members(model: Any, data: Data, members: int, loss: Any = None) -> tuple[Any, Data]:
    """Return model and data of an ensemble.

    Below 2,000 rows the members leave a fold each out, so that all rows are trained on and validate.

    Args:
        model: None for the default, or an architecture.
        data: The data.
        members: How many.
        loss: The problem's, or None for the default of the data.

    Raises:
        ModelError: The model cannot be an ensemble, or the data have none.
    """
    if not _suits(data):
        rule = "an ensemble needs rows of one array of numbers or of a table, with classes or values"
        raise ModelError(argument("ensemble"), rule, got=data.name, hint=f"leave {argument('ensemble')} out")
    rule = as_loss(loss) if loss is not None else default_loss(data.task)
    base = _default(data) if model is None else _as_tabular(model)
    folds = data.train.folds if isinstance(data.train, MemberRows) else 1
    if folds == 1 and members > 1 and _rows(data) < FEW_ROWS and why_not(data, members) is None:
        folds, data = (
            members,
            with_validation_folds(data, members, data.source.get("options", {}).get("split_seed", 0)),
        )
    return replace(base, members=members, folds=folds, averaged=_averaged(rule, data)), data


def members_by_default(data: Data) -> int | None:
    """Return how many members the default model of a table has; None where a single network is the default.

    That of other data, of folds, of large tables, and of inputs that are not a table's.
    """
    return MEMBERS if _is_small_table(data) and not isinstance(data, FoldedData) else None


def single_network_note(data: Data, model: Any) -> str | None:
    """Return what to tell whoever trains single networks where plain `fit` trains an ensemble, or None.

    Args:
        data: The data, or their folds.
        model: As it was asked for; None for the default.
    """
    if model is not None or not _is_small_table(data):
        return None
    where = "on each fold" if isinstance(data, FoldedData) else "here"
    return (
        f"single networks are trained {where}; plain fit, without a model or a recipe, trains an ensemble of "
        f"{MEMBERS} on such a table."
    )


def _is_small_table(data: Data) -> bool:
    return isinstance(data.preparation.columns, TableColumns) and _suits(data) and _rows(data) <= MOST_ROWS


def _suits(data: Data) -> bool:
    shape = data.input_shape
    rows = isinstance(shape, tuple) and len(shape) == 1 and data.train.one_row
    known = isinstance(data.preparation.columns, (TableColumns, ArrayInputs))
    return rows and known and data.task in (CLASSIFICATION, REGRESSION) and not data.train.is_text


def _rows(data: Data) -> int:
    if isinstance(data.train, MemberRows) or data.validation is None:
        return data.train.count()
    return data.train.count() + data.validation.count()


def _default(data: Data) -> Tabular:
    """Return the default network of one member, for these columns.

    Width, rates of dropout and embedding were chosen on the development sets of `python -m benchmarks
    tables`.
    """
    dropout = 0.05 if data.task == REGRESSION else 0.3
    inputs = math.prod(data.input_shape)
    places = _numbers(data)
    embedded = ALL if len(places) == inputs else as_text(places)
    return Tabular(
        (None, 128, 128, None),
        embedding=PERIODIC if places else NONE,
        embedded=embedded if places else ALL,
        dropout=0.0 if inputs <= 4 and data.task == CLASSIFICATION else dropout,
    )


def _numbers(data: Data) -> list[int]:
    """Return the places of inputs that are numbers, rather than 0 or 1 for a category."""
    columns = data.preparation.columns
    if not isinstance(columns, TableColumns):
        return list(range(math.prod(data.input_shape)))
    if isinstance(data, FoldedData):  # columns of different folds have different numbers of categories
        return []
    places, at = [], 0
    for each in columns.rules:
        places += [at] if isinstance(each, NumberRule) else []
        at += len(each.features)
    return places


def _as_tabular(model: Any) -> Tabular:
    if isinstance(model, Tabular):
        return model
    plain = isinstance(model, MLP) and model == MLP(**{name: getattr(model, name) for name in _OF_MLP})
    if not plain or "/" in str(model.activation):
        rule, hint = (
            "an ensemble is of networks mlp or tabular",
            f"for example {option('model', 'mlp:128,128')}",
        )
        got = getattr(model, "name", type(model).__name__)
        raise ModelError(argument("ensemble"), rule, got=got, hint=hint)
    return Tabular(**{name: getattr(model, name) for name in _OF_MLP})


def _averaged(loss: Loss, data: Data) -> str:
    """Return what is averaged over members: probabilities where the outputs are logits."""
    if data.task != CLASSIFICATION or not loss.takes_logits or loss.meaning not in (None, LOGITS):
        return MEAN
    return SIGMOID if loss.output_counts(data.task, data.outputs)[0] == 1 else SOFTMAX
