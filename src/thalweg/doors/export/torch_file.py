"""PyTorch: a readable module file and its `state_dict`, run by PyTorch before they are written.

The file needs `torch` and `safetensors` only. `Model.forward` gives the network's outputs, `Model.predict`
what `thalweg predict` does, in the same units.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from safetensors.numpy import save

from thalweg.core.errors import ModelError
from thalweg.core.lazy import extra
from thalweg.doors.export.graph import NEXT, PREDICTION, QUANTILES, RAW_SCORES, SHARES, Graph, Sample
from thalweg.doors.export.torch_module import Source, source_of
from thalweg.problem.data.data import CLASSIFICATION, LANGUAGE, MULTILABEL
from thalweg.problem.losses.outputs import (
    LOG_PROBABILITIES,
    LOG_RATES,
    LOGITS,
    PROBABILITIES,
    SCORES,
    VALUES,
    quantile_levels,
)

MODULE, WEIGHTS = ".py", ".safetensors"
_FILE = '''"""{title}: a PyTorch module, written by Thalweg, with its weights beside it.

    model = load()
    model.predict(inputs)

`inputs` are {inputs}.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
{more}

class Model(nn.Module):
    """{title}."""

    def __init__(self):
        super().__init__()
{layers}

    def forward(self, x):
        """Return the outputs of the network for prepared inputs."""
{forward}
        return h

    @torch.no_grad()
    def predict(self, x{offsets}):
        """Return predictions by name, in inference mode."""
{predict}


def load(path=None):
    """Return the trained module in inference mode; its weights lie beside this file, or at `path`."""
    model = Model()
    model.load_state_dict(load_file(path or Path(__file__).with_suffix(".safetensors")))
    return model.eval()
'''


def torch_files(graph: Graph) -> dict[str, bytes]:
    """Return the files of a model for PyTorch by their suffixes.

    Raises:
        ModelError: The model is not of the catalogue, or its outputs are thresholds.
        MissingExtra: PyTorch is not installed.
    """
    extra("export", "torch", "torch")
    built, record = graph.trained.built, graph.trained.record
    model = record.problem.get("model", {})
    module = eqx.nn.inference_mode(eqx.combine(built.params, built.fixed))
    source = source_of(model.get("architecture"), module, built.model_state)
    text = _FILE.format(
        title=f"{model.get('spec')} on {record.problem['data']['name']}".replace('"', "'").replace("\\", "/"),
        inputs=_inputs(graph),
        more="".join(source.more),
        layers=_indented(source.layers or ["pass"]),
        forward=_indented(source.forward),
        offsets=", offsets" if graph.has_offsets else "",
        predict=_indented(_predict(graph)),
    )
    return {MODULE: _without_unused(text, source).encode(), WEIGHTS: _state(source)}


def _state(source: Source) -> bytes:
    return save({name: np.ascontiguousarray(values) for name, values in source.state.items()})


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)


def _without_unused(text: str, source: Source) -> str:
    """Leave out the import of what the module does not use."""
    uses = any("F." in line for line in (*source.forward, *source.more))
    return text if uses else text.replace("import torch.nn.functional as F\n", "")


def _inputs(graph: Graph) -> str:
    """Say what the inputs are."""
    kind = graph.trained.preparation.columns.kind
    shape = ", ".join(["rows", *map(str, graph.shape)])
    what = {"image": "pictures as they are", "text": "tokens", "lines": "tokens"}.get(
        kind, "what `preparation.columns.inputs` of the run gives"
    )
    return f"a tensor ({shape}), {graph.dtype}: {what}"


def _predict(graph: Graph) -> list[str]:
    """Return the lines of `predict`: the device side of the preparation, the network, and the predictions."""
    ready = graph.trained.preparation
    lines = [] if graph.trained.task == LANGUAGE else ["x = x.float()"]
    if ready.input_scale is not None:
        lines.append(f"x = (x + {_number(ready.input_shift)}) * {_number(ready.input_scale)}")
    return [*lines, "h = self(x)", *_ending(graph)]


def _number(value: Any) -> str:
    """Return a number, or numbers for the last axis, as source."""
    if np.ndim(value) == 0:
        return repr(float(value))
    return f"torch.tensor({np.asarray(value, float).tolist()!r}, device=x.device)"


def _ending(graph: Graph) -> list[str]:
    """Return the lines that turn outputs, `h`, into predictions.

    Raises:
        ModelError: Outputs of this meaning are not written.
    """
    trained, ready = graph.trained, graph.trained.preparation
    meaning, task = str(trained.meaning), trained.task
    if task == LANGUAGE:
        return [f'return {{"{NEXT}": h}}']
    if task == MULTILABEL:
        turn = {LOGITS: "torch.sigmoid(h)", LOG_PROBABILITIES: "torch.exp(h)", PROBABILITIES: "h.clamp(0, 1)"}
        if meaning in turn:
            return [f'return {{"{SHARES}": {turn[meaning]}}}']
    if task == CLASSIFICATION and meaning == SCORES:
        return [*_columns(meaning), f'return {{"{RAW_SCORES}": h}}']
    if task == CLASSIFICATION and meaning in (LOGITS, LOG_PROBABILITIES, PROBABILITIES):
        return [*_columns(meaning), *_shares(meaning)]
    if task not in (CLASSIFICATION, MULTILABEL) and (
        meaning in (VALUES, LOG_RATES) or quantile_levels(meaning)
    ):
        return _values(graph, meaning, np.asarray(ready.target_scale), np.asarray(ready.target_mean))
    rule = "outputs must be logits, probabilities, scores, values, rates or quantiles"
    raise ModelError("torch", rule, got=meaning, hint="export to onnx or stablehlo")


def _columns(meaning: str) -> list[str]:
    """A single output is that of the second class."""
    other = {
        PROBABILITIES: "1 - h",
        SCORES: "-h",
        LOG_PROBABILITIES: "torch.log1p(-torch.exp(h.clamp(max=0)))",
    }
    first = other.get(meaning, "torch.zeros_like(h)")
    return [
        "if h.shape[-1] == 1:  # a single output is that of the second class",
        f"    h = torch.cat([{first}, h], dim=-1)",
    ]


def _shares(meaning: str) -> list[str]:
    if meaning == PROBABILITIES:
        return ["h = h.clamp(0, 1)", f'return {{"{SHARES}": h / h.sum(dim=-1, keepdim=True)}}']
    return [f'return {{"{SHARES}": torch.softmax(h, dim=-1)}}']


def _values(graph: Graph, meaning: str, scale: np.ndarray, mean: np.ndarray) -> list[str]:
    lines = ["h = torch.exp(h)"] if meaning == LOG_RATES else []
    name = QUANTILES if quantile_levels(meaning) else PREDICTION
    if name == QUANTILES:
        lines.append("h = h.sort(dim=-1).values")
    if graph.has_offsets:
        lines.append("h = h + offsets[:, None]")
    lines.append(f"h = h * {_number(scale)} + {_number(mean)}")
    squeezed = name == PREDICTION
    return [
        *lines,
        f'return {{"{name}": {"h.squeeze(1) if h.shape[1:] == (1,) else h" if squeezed else "h"}}}',
    ]


def run_torch(content: dict[str, bytes], graph: Graph, sample: Sample) -> dict[str, np.ndarray]:
    """Run a module file with its weights on the rows of a sample; return its outputs by name."""
    torch = extra("export", "torch", "torch")
    loader = extra("export", "safetensors.torch", "torch")
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(content[MODULE].decode(), "exported.py", "exec"), names)  # written above
    model = names["Model"]()
    model.load_state_dict(loader.load(content[WEIGHTS]))
    given = [sample.inputs] if sample.offsets is None else [sample.inputs, sample.offsets]
    outputs = model.eval().predict(*(torch.from_numpy(np.array(each)) for each in given))
    return {name: values.numpy() for name, values in outputs.items()}
