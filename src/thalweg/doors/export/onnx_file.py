"""ONNX: the model and, of tables and arrays, the host side of its preparation as one graph.

A table's graph has an input for each column: numbers as double (NaN: missing), categories as text (empty:
missing). Dates and words of texts have no operations in ONNX: such a column enters as the float32 numbers of
its rule. The rules are in the file's metadata, under `thalweg`, as JSON; `examples/onnx_reader.py` reads rows
of text by it. The network itself is converted by jax2onnx.

Reference: ONNX operator schemas, opset 23; jax2onnx 0.17.
"""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import jax
import numpy as np

from thalweg.core.lazy import extra, pl
from thalweg.doors.export.graph import PREDICTION, Graph, Sample
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.rules import FURTHEST, CategoryRule, NumberRule, Rule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.run.folder.filesystem import plain

NEEDS = ("jax2onnx", "onnx", "onnxruntime")
# What jax2onnx 0.17 converts to.
OPSET = 23
SUFFIX = ".onnx"
INPUTS, OFFSETS = "inputs", "offsets"


def onnx_files(graph: Graph) -> dict[str, bytes]:
    """Return the ONNX file of a model by its suffix.

    Raises:
        MissingExtra: jax2onnx or onnx is not installed.
    """
    converter, onnx = (extra("export", name, "onnx") for name in NEEDS[:2])
    names = list(jax.eval_shape(graph.function, *graph.arguments(2)))
    rows = jax.export.symbolic_shape("rows")[0]  # type: ignore[attr-defined]
    level = logging.getLogger("onnx_ir").level
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = converter.to_onnx(
                lambda *arguments: tuple(graph.function(*arguments).values()),
                graph.arguments(rows),
                model_name="thalweg",
                opset=OPSET,
                input_names=[INPUTS, OFFSETS][: 1 + graph.has_offsets],
                output_names=names,
            )
    finally:
        logging.getLogger("onnx_ir").setLevel(level)
    return {SUFFIX: _Assembly(onnx, network, graph).model().SerializeToString()}


class _Assembly:
    """Nodes before and after a network: preparation, and the names of classes."""

    def __init__(self, onnx: Any, network: Any, graph: Graph):
        self.onnx, self.graph = onnx, graph
        self.network = onnx.compose.add_prefix(network, "network/")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def model(self) -> Any:
        """Return the whole model."""
        whole, proto, helper = self.network, self.network.graph, self.onnx.helper
        own = {value.name: value for value in proto.input}
        source = f"network/{INPUTS}"
        columns = self.graph.trained.preparation.columns
        if isinstance(columns, TableColumns):
            self._table(columns, source)
        elif isinstance(columns, ArrayInputs):
            self._array(columns, source)
        else:
            self._through(own[source], INPUTS)
        if self.graph.has_offsets:
            self._through(own[f"network/{OFFSETS}"], OFFSETS)
        outputs, after = self._outputs(list(proto.output))
        nodes = [*self.nodes, *proto.node, *after]
        for field, values in (("input", self.inputs), ("output", outputs), ("node", nodes)):
            proto.ClearField(field)
            getattr(proto, field).extend(values)
        proto.initializer.extend(self.constants)
        helper.set_model_props(whole, {"thalweg": json.dumps(self._about())})
        self.onnx.checker.check_model(whole)
        return whole

    def _about(self) -> dict[str, Any]:
        """Return what a reader of the file needs: rules of columns or the vocabulary, and the classes."""
        ready = self.graph.trained.preparation
        about = {"task": self.graph.trained.task, "target": ready.target, "classes": ready.classes}
        if isinstance(ready.columns, TableColumns):
            about["columns"] = [rule.to_dict() for rule in ready.columns.rules]
        elif characters := getattr(ready.columns, "characters", None):
            about["characters"] = characters
        return plain(about)

    def _constant(self, name: str, value: np.ndarray) -> str:
        strings = value.dtype.kind in "OU"
        tensor = (
            self.onnx.helper.make_tensor(
                name, self.onnx.TensorProto.STRING, value.shape, [str(v).encode() for v in value.ravel()]
            )
            if strings
            else self.onnx.numpy_helper.from_array(value, name)
        )
        self.constants.append(tensor)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _input(self, name: str, kind: str, shape: tuple[Any, ...]) -> str:
        dtype = getattr(self.onnx.TensorProto, kind)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, dtype, ("rows", *shape)))
        return name

    def _through(self, value: Any, name: str) -> None:
        """Give an input of the network its name without the prefix."""
        self._node("Identity", [name], value.name)
        value.name = name
        self.inputs.append(value)

    def _array(self, columns: ArrayInputs, to: str) -> None:
        """Standardise numbers along the last axis, in double as on the host."""
        values = self._input(INPUTS, "DOUBLE", columns.shape)
        mean, scale = np.asarray(columns.mean), np.asarray(columns.scale)
        if not columns.shape:
            mean, scale = mean[0], scale[0]
        moved = self._node("Sub", [values, self._constant("array/mean", np.asarray(mean))], "array/moved")
        divided = self._node(
            "Div", [moved, self._constant("array/scale", np.asarray(scale))], "array/divided"
        )
        self._node("Cast", [divided], to, to=self.onnx.TensorProto.FLOAT)

    def _table(self, columns: TableColumns, to: str) -> None:
        """Turn each column into its inputs, and join them."""
        self._constant("table/last", np.array([1]))
        blocks = [self._block(f"table/{i}", rule) for i, rule in enumerate(columns.rules)]
        if columns.padding:
            first = self._node("Shape", [blocks[0]], "table/shape", start=0, end=1)
            width = self._constant("table/width", np.array([columns.padding]))
            shape = self._node("Concat", [first, width], "table/padded", axis=0)
            blocks.append(self._node("ConstantOfShape", [shape], "table/padding"))
        self._node("Concat", blocks, to, axis=1)

    def _block(self, at: str, rule: Rule) -> str:
        """Return the inputs of one column, `row feature`, float32."""
        if isinstance(rule, NumberRule):
            return self._number(at, rule)
        if isinstance(rule, CategoryRule):
            return self._category(at, rule)
        return self._input(rule.column, "FLOAT", (len(rule.features),))

    def _number(self, at: str, rule: NumberRule) -> str:
        """Standardise numbers; see `NumberRule`."""
        cells = self._input(rule.column, "DOUBLE", ())
        missing = self._node("IsNaN", [cells], f"{at}/missing")
        value = cells
        if rule.unit:
            size = self._node("Abs", [cells], f"{at}/size")
            share = self._node("Div", [size, self._scalar(f"{at}/unit", rule.unit)], f"{at}/share")
            more = self._node("Add", [share, self._scalar(f"{at}/one", 1.0)], f"{at}/more")
            logarithm = self._node("Log", [more], f"{at}/logarithm")
            value = self._node("Mul", [self._node("Sign", [cells], f"{at}/sign"), logarithm], f"{at}/value")
        moved = self._node("Sub", [value, self._scalar(f"{at}/mean", rule.mean)], f"{at}/moved")
        scaled = self._node("Div", [moved, self._scalar(f"{at}/scale", rule.scale)], f"{at}/scaled")
        ends = [self._scalar(f"{at}/{end}", sign * FURTHEST) for end, sign in (("low", -1), ("high", 1))]
        clipped = self._node("Clip", [scaled, *ends], f"{at}/clipped")
        known = self._node("Where", [missing, self._scalar(f"{at}/zero", 0.0), clipped], f"{at}/known")
        parts = [(known, "number"), *([(missing, "flag")] if rule.flag else [])]
        wide = [self._column(part, f"{at}/{name}") for part, name in parts]
        return wide[0] if len(wide) == 1 else self._node("Concat", wide, f"{at}/block", axis=1)

    def _scalar(self, name: str, value: float) -> str:
        return self._constant(name, np.asarray(value, np.float64))

    def _column(self, values: str, name: str) -> str:
        """Return numbers or truth values, `row`, as a column of float32."""
        numbers = self._node("Cast", [values], f"{name}/numbers", to=self.onnx.TensorProto.FLOAT)
        return self._node("Unsqueeze", [numbers, "table/last"], f"{name}/column")

    def _category(self, at: str, rule: CategoryRule) -> str:
        """Compare text with each category; see `CategoryRule`."""
        cells = self._input(rule.column, "STRING", ())
        column = self._node("Unsqueeze", [cells, "table/last"], f"{at}/column")
        is_missing = self._node(
            "Equal", [column, self._constant(f"{at}/empty", np.array([""], object))], f"{at}/missing"
        )
        parts = []
        if rule.categories:
            known = self._constant(f"{at}/categories", np.array(rule.categories, object))
            equal = self._node("Equal", [column, known], f"{at}/equal")
            parts.append(self._node("Cast", [equal], f"{at}/one_hot", to=self.onnx.TensorProto.FLOAT))
        if rule.other:
            parts.append(self._other(at, parts[0] if parts else None, is_missing))
        if rule.missing:
            flag = self._node("Cast", [is_missing], f"{at}/flag", to=self.onnx.TensorProto.FLOAT)
            parts.append(flag)
        return parts[0] if len(parts) == 1 else self._node("Concat", parts, f"{at}/block", axis=1)

    def _other(self, at: str, one_hot: str | None, is_missing: str) -> str:
        """Return 1 where a cell is neither missing nor a category with an input of its own."""
        absent = self._node("Not", [is_missing], f"{at}/present")
        if one_hot is not None:
            axes = self._constant(f"{at}/axes", np.array([1]))
            total = self._node("ReduceSum", [one_hot, axes], f"{at}/total", keepdims=1)
            zero = self._constant(f"{at}/none", np.asarray(0.0, np.float32))
            unknown = self._node("Equal", [total, zero], f"{at}/unknown")
            absent = self._node("And", [absent, unknown], f"{at}/other_than_these")
        return self._node("Cast", [absent], f"{at}/other", to=self.onnx.TensorProto.FLOAT)

    def _outputs(self, own: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the outputs without the prefix, the predicted class first, and the nodes that give them."""
        outputs: list[Any] = []
        before = len(self.nodes)
        ready, task = self.graph.trained.preparation, self.graph.trained.task
        for value in own:
            name = value.name.removeprefix("network/")
            self._node("Identity", [value.name], name)
            value.name = name
            outputs.append(value)
        names = ready.classes
        if task == CLASSIFICATION and names is not None:
            text = not all(isinstance(name, int) for name in names)
            labels = self._constant("labels", np.array(names, object if text else np.int64))
            largest = self._node("ArgMax", [outputs[0].name], "largest", axis=-1, keepdims=0)
            self._node("Gather", [labels, largest], PREDICTION)
            kind = self.onnx.TensorProto.STRING if text else self.onnx.TensorProto.INT64
            outputs.insert(0, self.onnx.helper.make_tensor_value_info(PREDICTION, kind, ("rows",)))
        after, self.nodes = self.nodes[before:], self.nodes[:before]
        return outputs, after


def run_onnx(files: dict[str, bytes], graph: Graph, sample: Sample) -> dict[str, np.ndarray]:
    """Run an ONNX file with onnxruntime on the rows of a sample; return its outputs by name."""
    runtime = extra("export", NEEDS[2], "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime.InferenceSession(files[SUFFIX], options, providers=["CPUExecutionProvider"])
    feeds = feeds_of(graph, sample)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def feeds_of(graph: Graph, sample: Sample) -> dict[str, np.ndarray]:
    """Return the inputs of an ONNX file for the rows of a sample."""
    columns = graph.trained.preparation.columns
    if isinstance(columns, TableColumns):
        return {rule.column: _cells(rule, sample.raw[rule.column]) for rule in columns.rules}
    inputs = sample.inputs if sample.raw is None else sample.raw
    feeds = {INPUTS: inputs.astype(np.float64) if isinstance(columns, ArrayInputs) else inputs}
    return feeds | ({} if sample.offsets is None else {OFFSETS: sample.offsets})


def _cells(rule: Rule, column: pl.Series) -> np.ndarray:
    if isinstance(rule, NumberRule):
        return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if isinstance(rule, CategoryRule):
        return np.array(column.cast(pl.String).fill_null("").to_list(), object)
    return rule.apply(column, (), new=False)
