"""`export`: a trained model in the format of another program, compared with the run before it is written.

The export is run by the program that it is for, on 100 rows drawn like those of training, and its predictions
are compared with the run's. One that differs is refused, with the difference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from thalweg.core.arguments import checked
from thalweg.core.caller import either, option
from thalweg.core.compiler import traced_once
from thalweg.core.disk import DISK, replace
from thalweg.core.errors import BadInput, ThalwegError, did_you_mean
from thalweg.core.lazy import extra
from thalweg.doors.export.graph import ROWS, TOLERANCE, Graph, Sample, differences, graph_of, sample_of
from thalweg.doors.export.onnx_file import onnx_files, run_onnx
from thalweg.doors.export.torch_file import run_torch, torch_files
from thalweg.run.restore import trained_of

# The devices that a StableHLO file is made for: one program each.
PLATFORMS = ("cpu", "cuda", "tpu")
STABLEHLO = ".stablehlo"


@dataclass(frozen=True)
class Format:
    """A format of export.

    Args:
        name: Its name, as `to` takes it.
        suffix: Of the file.
        files: Makes the content of its files, by suffix.
        run: Runs these on a sample's rows; returns the outputs by name.
        what: What it is, in one line.
        beside: Suffixes of further files.
    """

    name: str
    suffix: str
    files: Callable[[Graph], dict[str, bytes]]
    run: Callable[[dict[str, bytes], Graph, Sample], dict[str, np.ndarray]]
    what: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Args:
        path: The file.
        format: Its format.
        rows: Rows on which it was compared with the run.
        difference: The largest difference of its predictions from the run's, in relation to the larger of 1
            and the largest value; values in the unit of standardised targets.
    """

    path: Path
    format: str
    rows: int
    difference: float


def stablehlo_files(graph: Graph) -> dict[str, bytes]:
    """Return a model as a serialised `jax.export`, by its suffix; the number of rows is a symbol.

    `jax.export.deserialize(content).call(inputs)` gives predictions by name.

    Raises:
        MissingExtra: flatbuffers, by which JAX serialises, is not installed.
    """
    extra("export", "flatbuffers", "stablehlo")
    rows = jax_export.symbolic_shape("rows")[0]
    function: Any = traced_once(graph.function)
    made = jax_export.export(function, platforms=PLATFORMS)(*graph.arguments(rows))
    return {STABLEHLO: bytes(made.serialize())}


def run_stablehlo(files: dict[str, bytes], graph: Graph, sample: Sample) -> dict[str, np.ndarray]:
    """Run a serialised function on the rows of a sample; return its outputs by name."""
    called: Any = jax_export.deserialize(bytearray(files[STABLEHLO])).call
    arguments = [sample.inputs] if sample.offsets is None else [sample.inputs, sample.offsets]
    outputs = called(*(np.asarray(each) for each in arguments))
    return {name: np.asarray(jax.device_get(values)) for name, values in outputs.items()}


FORMATS = {
    each.name: each
    for each in (
        Format("onnx", ".onnx", onnx_files, run_onnx, "ONNX, with the preparation inside"),
        Format("stablehlo", STABLEHLO, stablehlo_files, run_stablehlo, "a serialised jax.export"),
        Format(
            "torch", ".py", torch_files, run_torch, "a PyTorch module and its state_dict", (".safetensors",)
        ),
    )
}


@checked(BadInput)
def export(run: Any, path: Path | str, *, to: str | None = None, force: bool = False) -> Export:
    """Write a trained model for another program; see docs/export.md.

    Args:
        run: A run folder, a `Run`, or what `restore` gave.
        path: The file, such as `model.onnx`.
        to: `onnx`, `stablehlo` or `torch`; None: by the suffix of the path.
        force: Whether to overwrite a file of that name.

    Returns:
        What was written, and how far its predictions are from the run's.

    Raises:
        BadInput: The format is unknown, the file exists, or the export differs from the run.
        DataError: The model cannot be exported.
        MissingExtra: A package of the format is not installed.

    Example:
        >>> import thalweg as tw
        >>> tw.export("runs/titanic-1", "titanic.onnx").difference < 1e-4  # doctest: +SKIP
        True
    """
    target = Path(path)
    chosen = format_of(target, to)
    check_target(target, chosen, force)
    graph = graph_of(trained_of(run))
    files, difference = _converted(chosen, graph)
    for suffix, content in files.items():
        path = target if suffix == chosen.suffix else target.with_suffix(suffix)
        try:
            replace(path, content, new=not force)
        except OSError as error:
            raise _unwritable(path, error) from error
    return Export(target, chosen.name, ROWS, difference)


def _converted(chosen: Format, graph: Graph) -> tuple[dict[str, bytes], float]:
    """Return the files, and how far their predictions are from the run's.

    Raises:
        BadInput: The model has an operation that the format's converter does not know, or they differ.
    """
    try:
        files = chosen.files(graph)
        return files, compared(chosen, files, graph)
    except (ThalwegError, MemoryError):
        raise
    except Exception as error:  # converters raise errors of every kind
        got = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        hint = "nothing was written; another format may do, or the run itself: tw.restore(run)"
        raise BadInput("export", f"the model must convert to {chosen.name}", got=got, hint=hint) from error


def compared(chosen: Format, files: dict[str, bytes], graph: Graph) -> float:
    """Return the largest difference between an export's predictions and the run's.

    Raises:
        BadInput: It is too large, or the export gives no predictions.
    """
    sample = sample_of(graph)
    found = differences(graph, sample.expected, chosen.run(files, graph, sample))
    worst = max(found, key=lambda name: found[name], default="")
    if not found or not found[worst] <= TOLERANCE:
        rule = f"the export must predict as the run does, within {TOLERANCE:g} on {ROWS} rows"
        got = f"a difference of {found[worst]:.3g} in {worst}" if found else "no predictions"
        hint = "nothing was written; another format may do, or the run itself: tw.restore(run)"
        raise BadInput("export", rule, got=got, hint=hint)
    return found[worst]


def format_of(path: Path, to: str | None) -> Format:
    """Return the format that is asked for, or that the suffix says."""
    if to is not None and to not in FORMATS:
        raise BadInput("export", "the format must be a known one", got=to, hint=did_you_mean(to, FORMATS))
    if to is None:
        by_suffix = {each.suffix: each for each in FORMATS.values()}
        if path.suffix not in by_suffix:
            rule = f"the file must end in one of {', '.join(by_suffix)}, or the format be given"
            hint = f"for example {either('--to model.onnx', option('to', 'onnx'))}"
            raise BadInput("export", rule, got=str(path), hint=hint)
        return by_suffix[path.suffix]
    return FORMATS[to]


def check_target(target: Path, chosen: Format, force: bool) -> None:
    """Refuse files that cannot or must not be written, before any work.

    Raises:
        BadInput: Their folder is missing, or one exists and is not to be overwritten.
    """
    if not target.absolute().parent.is_dir():
        hint = "create the folder first"
        raise BadInput("export", "must be in an existing folder", got=str(target), hint=hint)
    for path in (target, *(target.with_suffix(suffix) for suffix in chosen.beside)):
        try:
            DISK.check_replaceable(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        if DISK.is_there(path) and not force:
            hint = f"name another file, or overwrite it: {option('force')}"
            raise BadInput("export", "must not exist already", got=str(path), hint=hint)


def _unwritable(path: Path, error: OSError) -> BadInput:
    where = error.strerror or str(error)
    return BadInput("export", "must be writable", got=str(path), where=where, hint="name another file")
