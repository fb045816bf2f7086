"""The kinds of host-side preparation by name, for reading one back from a run folder."""

from typing import Any

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.inputs.lines import LineInputs
from thalweg.problem.data.inputs.series import SeriesColumns
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.inputs.text import TextInputs

_ALL = (TableColumns, ArrayInputs, ImageInputs, TextInputs, LineInputs, SeriesColumns)
KINDS: dict[str, Any] = {kind.kind: kind for kind in _ALL}


def columns_from(given: dict[str, Any]) -> Any:
    """Build the host side of a preparation from plain values with a `kind`.

    Raises:
        DataError: The kind is not known here, or its values are not whole.
    """
    kind = given.get("kind")
    if kind not in KINDS:
        raise DataError(
            "preparation", "must be of a known kind", got=kind, hint=did_you_mean(str(kind), KINDS)
        )
    try:
        return KINDS[kind].from_dict({key: value for key, value in given.items() if key != "kind"})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "preparation",
            f"of kind {kind} must be whole",
            got=repr(error),
            hint="the run folder was edited or comes from another version",
        ) from error
