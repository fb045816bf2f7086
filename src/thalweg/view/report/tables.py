"""The report's tables: data, recipe, model, cost, environment."""

from collections.abc import Iterable, Mapping
from typing import Any

from thalweg.insight.curves import layer_table
from thalweg.insight.outcome import table
from thalweg.insight.settings import flat
from thalweg.insight.wording import as_number, clipped, count, percent, seconds, setting, size
from thalweg.run.folder.record import Record
from thalweg.view.figure.html import Content, Markup, element

MOST_LAYERS = 120  # rows of the model's table; very deep networks are cut and said to be


def data(record: Record) -> Markup | None:
    """Say what was learned from: parts, shapes, classes, and what was pointed out while reading."""
    told = table(record.problem, "data")
    if not told:
        return None
    rows: list[tuple[str, Content]] = [
        (f"{part} examples", count(n)) for part, n in table(told, "counts").items()
    ]
    names = {"task": "task", "target": "target", "input_shape": "shape of an example", "outputs": "outputs"}
    rows += [(name, _value(told[key])) for key, name in names.items() if told.get(key) is not None]
    classes = told.get("classes")
    if isinstance(classes, list | tuple) and classes:
        rows.append(("classes", clipped(", ".join(map(str, classes)), 160)))
    if told.get("fingerprint"):
        rows.append(
            ("fingerprint", element("code", str(told["fingerprint"])[:16], title=str(told["fingerprint"])))
        )
    return element("div", pairs(rows), _notes(told.get("notes")), class_="columns")


def recipe(record: Record) -> Markup | None:
    """List every setting as it was resolved."""
    if not record.recipe:
        return None
    rows = [(key, _value(value)) for key, value in flat(record.recipe).items()]
    return pairs(rows, "wide")


def model(record: Record) -> Markup | None:
    """List the parameters: path, shape, role, count."""
    layers = layer_table(record)
    told = table(record.problem, "model")
    if not layers and not told.get("spec"):
        return None
    total = as_number(told.get("parameters")) or as_number(record.result.get("parameters"))
    intro = f"{told.get('spec') or 'Model'}" + (f": {count(total)} parameters" if total is not None else "")
    return element("div", element("p", intro), _layer_table(layers, total) if layers else None)


def cost(record: Record) -> Markup | None:
    """Say what it cost: seconds by kind, speed, size."""
    spent = table(record.result, "seconds")
    total = as_number(spent.get("total"))
    rows: list[tuple[str, Content]] = [
        (str(name), _spent(as_number(value), total)) for name, value in spent.items() if name != "total"
    ]
    rest = (
        None if total is None else total - sum(as_number(v) or 0.0 for k, v in spent.items() if k != "total")
    )
    rows += (
        [("everything else", _spent(rest, total))] if rest is not None and rest > 0.01 * (total or 0) else []
    )
    rows += [("total", seconds(total))] if total is not None else []
    speed = as_number(record.result.get("examples_per_second"))
    rows += [("training speed", f"{size(speed)} examples/s")] if speed is not None else []
    parameters = as_number(record.result.get("parameters"))
    rows += [("parameters", count(parameters))] if parameters is not None else []
    return pairs(rows) if rows else None


def environment(record: Record) -> Markup | None:
    """List versions and machine."""
    rows = [(str(key), _value(value)) for key, value in flat(record.environment).items()]
    return pairs(rows, "wide") if rows else None


def pairs(rows: Iterable[tuple[str, Content]], kind: str = "") -> Markup:
    """Make a list of names and values."""
    made = [element("div", element("dt", name), element("dd", value)) for name, value in rows]
    return element("dl", made, class_=f"pairs-list {kind}".strip())


def _value(value: Any) -> str:
    return clipped(setting(value), 120)


def _notes(notes: Any) -> Markup | None:
    found = [note for note in notes or () if isinstance(note, Mapping) and note.get("text")]
    if not found:
        return None
    items = [
        element("li", element("span", str(note.get("kind") or "note"), class_="tag"), " ", str(note["text"]))
        for note in found
    ]
    return element("div", element("h3", "Pointed out while reading"), element("ul", items, class_="notes"))


def _layer_table(layers: list[dict[str, object]], total: float | None) -> Markup:
    rows = [
        element(
            "tr",
            element("td", element("code", str(layer.get("path", "")))),
            element("td", _shape(layer.get("shape"))),
            element("td", str(layer.get("role") or "")),
            element("td", _share(layer.get("count"), total)),
        )
        for layer in layers[:MOST_LAYERS]
    ]
    head = element(
        "tr", [element("th", name, scope="col") for name in ("parameter", "shape", "role", "count")]
    )
    more = len(layers) - MOST_LAYERS
    return element(
        "div",
        element("table", element("thead", head), element("tbody", rows), class_="layer-table"),
        element("p", f"{more} more are left out here; problem.json has them.", class_="note")
        if more > 0
        else None,
        class_="scrolls",
    )


def _shape(shape: Any) -> str:
    if not isinstance(shape, list | tuple):
        return str(shape or "")
    return " \u00d7 ".join(f"{side}" for side in shape) or "one number"


def _share(number: Any, total: float | None) -> Markup:
    value = as_number(number)
    share = value / total if value is not None and total else 0.0
    return element("span", count(number), class_="share", style=f"--share:{100 * min(1.0, share):.1f}%")


def _spent(value: float | None, total: float | None) -> Markup | str:
    if value is None or not total:
        return seconds(value)
    return element(
        "span",
        f"{seconds(value)} ({percent(value / total, 0)})",
        class_="share",
        style=f"--share:{100 * min(1.0, max(0.0, value / total)):.1f}%",
    )
