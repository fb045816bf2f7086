"""Weights to start from: of a run, of another library's safetensors file, of a PyTorch `state_dict`.

What a file calls its arrays is told by a map of names, or known: the modules that `thalweg export --to
model.py` writes name their layers by rules, which `_TORCH` inverts. PyTorch keeps the channels of a kernel
second, `out in row column`, and this library last; files in PyTorch's layout are told by their names, their
suffix, or the `format` in a safetensors header.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.arguments import check_fields
from thalweg.core.caller import argument
from thalweg.core.disk import DISK
from thalweg.core.documents import parse_json, parse_toml
from thalweg.core.errors import BadInput, ModelError, did_you_mean
from thalweg.core.lazy import extra
from thalweg.core.tree import paths
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.folder import LARGEST_FILE, missing_weights
from thalweg.run.folder.weights import arrays_in, content_of, transfer

# Bytes of a file of names: more than the largest model has.
LARGEST_TABLE = 1 << 24
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
# A name in an exported PyTorch module, and the path of the parameter; `_` at the end of a path stands for
# `weight` or `bias`, and for `scale` or `shift` of a norm.
_TORCH = (
    (r"layer(\d+)\.(weight|bias)", r"layers.\1.\2"),
    (r"head\.(weight|bias)", r"layers.LAST.\1"),
    (r"norm(\d+)(?:\.norm)?\.(weight|bias)", r"norms.\1._\2"),
    (r"convolution(\d+)\.(weight|bias)", r"convolutions.\1.\2"),
    (r"stem_norm(?:\.norm)?\.(weight|bias)", r"norm._\1"),
    (r"block(\d+)_convolution(\d+)\.(weight|bias)", r"blocks.\1.convolutions.\2.\3"),
    (r"block(\d+)_norm(\d+)(?:\.norm)?\.(weight|bias)", r"blocks.\1.norms.\2._\3"),
    (r"cells\.weight_ih_l(\d+)", r"cells.\1.weight"),
    (r"cells\.weight_hh_l(\d+)", r"cells.\1.recurrent"),
    (r"cells\.bias_ih_l(\d+)", r"cells.\1.bias"),
    (r"blocks\.(\d+)\.(mix|out)\.(weight|bias)", r"blocks.\1.attention.\2.\3"),
    (r"blocks\.(\d+)\.(first_norm|second_norm)\.(weight|bias)", r"blocks.\1.\2._\3"),
    (r"norm\.(weight|bias)", r"norm._\1"),
)
_NORMS = {"_weight": "scale", "_bias": "shift"}


@dataclass(frozen=True)
class Pretrained:
    """Weights of a file whose names differ from those of the model.

    Args:
        path: A safetensors file, a PyTorch `state_dict` (`.pt`, `.pth`, `.bin`, `.ckpt`), or a run folder.
        names: The file's name for each parameter that it calls otherwise, `{"layers.0.weight":
            "encoder.fc1.weight"}`; or a TOML or JSON file with such a table. A `*` in both stands for the
            same text: `{"blocks.*.expand.weight": "encoder.layer.*.fc.weight"}`.

    Example:
        >>> import thalweg as tw
        >>> start = tw.Pretrained("encoder.safetensors", {"layers.*.weight": "encoder.*.w"})
        >>> tw.fit("digits", "mlp:64", init=start)  # doctest: +SKIP
    """

    path: Path | str
    names: Mapping[str, str] | Path | str | None = None

    def __post_init__(self) -> None:
        check_fields(BadInput, "init", self)

    def table(self) -> dict[str, str]:
        """Return the names as a plain table.

        Raises:
            BadInput: They are no table of text, or the file of them cannot be read.
        """
        given: Any = self.names
        if isinstance(given, (str, Path)):
            given = _table_in(Path(given))
        given = {} if given is None else given
        texts = isinstance(given, Mapping) and all(
            isinstance(each, str) for pair in given.items() for each in pair
        )
        if not texts:
            hint = 'for example {"layers.0.weight": "encoder.fc1.weight"}'
            raise _refused("must be a table of names in the file by path in the model", got=given, hint=hint)
        for own, other in given.items():
            if own.count("*") != other.count("*"):
                hint = "for example layers.*.weight = encoder.*.w"
                raise _refused("must have as many * on both sides", got=f"{own} = {other}", hint=hint)
        return dict(given)


class InitialWeights:
    """Weights to start from.

    Args:
        path: A file, or a run folder: then its best weights, or the final ones.
        shapes: The parameters of this run, or their shapes.
        names: Names in the file by path in the model, as in `Pretrained`.

    Attributes:
        fresh: Parameters that the file does not have.
        unused: Arrays of a file that no run wrote, which the model does not have.

    Raises:
        RunFolderError: The file is missing or damaged.
        ModelError: A name is in neither, an array has another shape, or none fits.
        MissingExtra: The file is PyTorch's, which is not installed.
    """

    def __init__(self, path: Path, shapes: PyTree, names: Mapping[str, str] | None = None):
        if path.is_dir():
            best = path / "best.safetensors"
            path = best if files_of(path).is_there(best) else path / "final.safetensors"
        own = dict(zip(paths(shapes), _shapes_of(shapes), strict=True))
        arrays, of_torch = _read(path)
        self._arrays, taken = _named(arrays, own, names or {}, of_torch, path)
        self.fresh = transfer(shapes, self._arrays)[1]
        foreign = bool(names) or of_torch or taken != set(arrays) & set(own)
        self.unused = sorted(set(arrays) - taken) if foreign else []

    def __call__(self, params: PyTree) -> PyTree:
        """Return a lane's parameters, with those of the file that fit."""
        return transfer(params, self._arrays)[0]


def _shapes_of(shapes: PyTree) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in jax.tree.leaves(shapes)]


def _read(path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """Return the arrays of a file by name, and whether the file says that it is PyTorch's."""
    if path.suffix.lower() in PICKLED:
        return _state_dict(path), True
    hint = "see `thalweg check`; to start from them nevertheless, copy the file out of the folder"
    content = content_of(path, hint=hint)
    arrays = arrays_in(content, path)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # it was read just before
    return arrays, header.get("__metadata__", {}).get("format") == "pt"


def _state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `state_dict`, read without running what the file may hold.

    Raises:
        ModelError: It holds something else than tensors by name.
        RunFolderError: It is missing.
        MissingExtra: PyTorch is not installed.
    """
    torch = extra("init", "torch", "torch")
    try:
        content = DISK.read(path.resolve(), LARGEST_FILE)
        held = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise missing_weights(path) from error
    except Exception as error:  # PyTorch raises what its unpickler, zip reader or parser raise
        refused = "weights_only" in str(error) or "Unsupported" in str(error)
        got = "other objects, which loading would run" if refused else str(error).splitlines()[0][:200]
        hint = "save it as torch.save(model.state_dict(), path)"
        rule = "must be a state_dict: tensors by name"
        raise ModelError("init", rule, got=got, where=path, hint=hint) from error
    for name in ("state_dict", "model_state_dict", "model"):  # as training scripts wrap it
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
    if not isinstance(held, Mapping) or not all(isinstance(each, torch.Tensor) for each in held.values()):
        hint = "save it as torch.save(model.state_dict(), path)"
        got = type(held).__name__
        raise ModelError("init", "must be a state_dict: tensors by name", got=got, where=path, hint=hint)
    floats = (torch.bfloat16, torch.float16)
    return {
        str(name): (each.float() if each.dtype in floats else each).detach().contiguous().numpy()
        for name, each in held.items()
    }


def _named(
    arrays: Mapping[str, np.ndarray],
    own: Mapping[str, tuple[int, ...]],
    names: Mapping[str, str],
    of_torch: bool,
    path: Path,
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Return arrays by path in the model, and which of the file's these are.

    Raises:
        ModelError: A name of the map is in neither, or its array has another shape.
    """
    exported = {name: _own_name(name, own) for name in arrays}
    of_torch = of_torch or any(found not in (None, name) for name, found in exported.items())
    found = {to: name for name, to in exported.items() if to is not None}
    mapped = _mapped(names, own, arrays, path)
    found |= mapped
    result = {}
    for to, name in found.items():
        array = arrays[name]
        if of_torch and array.ndim == 4:
            array = array.transpose(0, 2, 3, 1)
        if to in mapped and array.shape != own[to]:
            raise _other_shape(to, own[to], name, array.shape, path)
        result[to] = array
    taken = set(found.values())
    if of_torch:
        taken |= _add_second_biases(result, arrays, own)
    return result, taken


def _own_name(name: str, own: Mapping[str, Any]) -> str | None:
    """Return the path of the parameter that an exported module calls so; None where there is none."""
    if name in own:
        return name
    layers = {int(path.split(".")[1]) for path in own if re.fullmatch(r"layers\.\d+\.weight", path)}
    for pattern, template in _TORCH:
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        path = match.expand(template).replace("LAST", str(max(layers, default=0)))
        head, _, last = path.rpartition(".")
        path = f"{head}.{_NORMS.get(last, last)}"
        if path in own:
            return path
    return None


def _add_second_biases(
    result: dict[str, np.ndarray], arrays: Mapping[str, np.ndarray], own: Mapping[str, Any]
) -> set[str]:
    """Add PyTorch's second bias of recurrent layers, of which there is one here; return what was taken.

    A GRU's new gate multiplies its share by the reset gate, so that there it is a parameter, `inner`.
    """
    taken = set()
    for name, array in arrays.items():
        match = re.fullmatch(r"cells\.bias_hh_l(\d+)", name)
        bias = None if match is None else f"cells.{match.group(1)}.bias"
        if match is None or bias not in result or result[bias].shape != array.shape:
            continue
        outer, inner = array, f"cells.{match.group(1)}.inner"
        if inner in own:
            split = 2 * len(array) // 3
            result[inner] = array[split:]
            outer = np.concatenate([array[:split], np.zeros_like(array[split:])])
        result[bias] = result[bias] + outer
        taken.add(name)
    return taken


def _mapped(
    names: Mapping[str, str], own: Mapping[str, Any], arrays: Mapping[str, Any], path: Path
) -> dict[str, str]:
    """Return the name in the file of each parameter that the map names."""
    result: dict[str, str] = {}
    for pattern, other in names.items():
        matching = [name for name in own if fnmatchcase(name, pattern)]
        if not matching:
            raise _refused("must name parameters of the model", got=pattern, hint=did_you_mean(pattern, own))
        expression = "(.*)".join(re.escape(part) for part in pattern.split("*"))
        for name in matching:
            match = re.fullmatch(expression, name)
            texts = iter(match.groups() if match is not None else ())
            asked = "".join(next(texts, "") if part == "*" else part for part in re.split(r"(\*)", other))
            if asked not in arrays:
                rule, hint = f"must name arrays of the file (for {name})", did_you_mean(asked, arrays)
                raise _refused(rule, got=asked, where=path, hint=hint)
            result.setdefault(name, asked)
    return result


def _other_shape(to: str, shape: tuple[int, ...], name: str, got: tuple[int, ...], path: Path) -> ModelError:
    turned = len(shape) == 2 and got == shape[::-1]
    hint = "it is transposed: weights are (out, in) here; transpose it in the file" if turned else None
    hint = hint or "give the model the sizes of the file's, or leave the name out: it starts afresh then"
    rule = f"{to} needs an array of shape {shape}"
    return ModelError("init", rule, got=f"{name} of shape {got}", where=path, hint=hint)


def _table_in(path: Path) -> Any:
    """Return the table in a TOML or JSON file; tables within tables are joined by dots."""
    try:
        content = DISK.read(path.resolve(), LARGEST_TABLE)
        table = parse_json(content) if path.suffix.lower() == ".json" else parse_toml(content)
    except (OSError, ValueError) as error:
        hint = 'a line of it: "layers.0.weight" = "encoder.fc1.weight"'
        raise _refused(
            "must be a readable TOML or JSON file", got=str(error), where=path, hint=hint
        ) from error
    return _flat(table)


def _flat(table: Any, prefix: str = "") -> Any:
    if not isinstance(table, Mapping):
        return table
    result: dict[str, Any] = {}
    for name, value in table.items():
        result |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return result


def _refused(rule: str, got: Any, hint: str, where: object = None) -> BadInput:
    return BadInput(argument("init_names"), rule, got=got, where=where, hint=hint)
