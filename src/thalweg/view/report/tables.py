"""The report's tables: other methods, data, recipe, model, cost, environment."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thalweg.core.limits import as_bytes
from thalweg.insight.curves import layer_table
from thalweg.insight.outcome import split_sizes, table
from thalweg.insight.settings import flat
from thalweg.insight.standing import Standing, difference_text, standing
from thalweg.insight.wording import (
    as_number,
    clipped,
    count,
    measure,
    percent,
    plural,
    seconds,
    setting,
    size,
)
from thalweg.run.folder.record import Record
from thalweg.view.figure.frame import table as html_table
from thalweg.view.figure.html import Content, Markup, element

MOST_LAYERS = 120  # rows of the model's table; deeper networks are cut, with a note
VERDICTS = {"better": "better than the network", "worse": "worse", "unclear": "cannot tell"}
METHOD_COLUMNS = ("method", "value", "minus the network's (95 %)", "verdict", "training rows", "time")
ALL = "all"  # the key under which it says why there are no references at all


def data(record: Record) -> Markup | None:
    """List the data: splits, shapes, classes, and the notes made while reading."""
    about = table(record.problem, "data")
    if not about:
        return None
    rows: list[tuple[str, Content]] = [(f"{split} examples", number) for split, number in split_sizes(about)]
    names = {"task": "task", "target": "target", "input_shape": "shape of an example", "outputs": "outputs"}
    rows += [(name, _value(about[key])) for key, name in names.items() if about.get(key) is not None]
    classes = about.get("classes")
    if isinstance(classes, list | tuple) and classes:
        rows.append(("classes", clipped(", ".join(map(str, classes)), 160)))
    if about.get("fingerprint"):
        rows.append(
            ("fingerprint", element("code", str(about["fingerprint"])[:16], title=str(about["fingerprint"])))
        )
    return element("div", pairs(rows), _notes(about.get("notes")), class_="columns")


def recipe(record: Record) -> Markup | None:
    """List every setting of the recipe."""
    if not record.recipe:
        return None
    return pairs(settings(record.recipe), "wide")


def model(record: Record) -> Markup | None:
    """List the parameters: path, shape, role, count."""
    layers = layer_table(record)
    about = table(record.problem, "model")
    if not layers and not about.get("spec"):
        return None
    total = as_number(about.get("parameters")) or as_number(record.result.get("parameters"))
    intro = f"{about.get('spec') or 'Model'}" + (f": {count(total)} parameters" if total is not None else "")
    return element("div", element("p", intro), _layer_table(layers, total) if layers else None)


def cost(record: Record) -> Markup | None:
    """List seconds by kind, speed and size."""
    spent = {str(name): as_number(value) for name, value in table(record.result, "seconds").items()}
    total = spent.pop("total", None)
    rest = None if total is None else total - sum(value or 0.0 for value in spent.values())
    if rest is not None and rest < -0.01 * (total or 0.0):  # a sweep of an older version
        rows: list[tuple[str, Content]] = [
            (f"{name}, summed over threads", seconds(value)) for name, value in spent.items()
        ]
    else:
        rows = [(name, _spent(value, total)) for name, value in spent.items()]
    if total is not None and rest is not None:
        rows += [("everything else", _spent(rest, total))] if rest > 0.01 * total else []
        rows.append(("total", seconds(total)))
    speed, parameters = (as_number(record.result.get(key)) for key in ("examples_per_second", "parameters"))
    rows += [("training speed", f"{size(speed)} examples/s")] if speed is not None else []
    rows += [("parameters", count(parameters))] if parameters is not None else []
    beside = _predicted(table(record.result, "cost"))
    return element("div", pairs(rows), beside) if rows else None


def _predicted(cost: Mapping[str, Any]) -> Markup | None:
    """List predicted beside measured cost; None for a run that has no prediction."""
    time, memory, work = (table(cost, name) for name in ("step_seconds", "memory", "operations"))
    rows = []
    if as_number(time.get("predicted")) is not None:
        rows.append(_beside("time of an update", time, "measured", _length))
    if memory:
        rows.append(_beside("memory of the training loop", memory, "compiled", _bytes))
    step, rate = (as_number(work.get(name)) for name in ("step", "rate"))
    if step is not None and rate is not None:
        cells = [size(step), f"{size(rate)} a second", ""]
        rows.append(_cells("operations of an update", cells))
    if not rows:
        return None
    process = as_number(memory.get("process"))
    about = (
        "Predicted from the program and this machine's rates; measured: the mean over all updates, and the "
        "buffers of the compiled program."
    )
    if process is not None:
        about += f" The whole process, with Python, JAX and what was read, held {_bytes(process)} at most."
    head = ("", "predicted", "measured", "measured / predicted")
    listed = element("div", html_table(head, rows, "by-class"), class_="scrolls")
    return element("div", element("h3", "Predicted and measured"), listed, element("p", about, class_="note"))


def _beside(name: str, values: Mapping[str, Any], measured: str, write: Callable[[float], str]) -> Markup:
    before, after = (as_number(values.get(key)) for key in ("predicted", measured))
    ratio = f"{after / before:.2f}" if before and after is not None else ""
    return _cells(name, ["" if each is None else write(each) for each in (before, after)] + [ratio])


def _cells(name: str, cells: Iterable[str]) -> Markup:
    return element("tr", element("th", name, scope="row"), [element("td", cell) for cell in cells])


def _bytes(value: float) -> str:
    return as_bytes(int(value))


def _length(value: float) -> str:
    return f"{1000 * value:.3g} ms" if value < 1 else seconds(value)


def environment(record: Record) -> Markup | None:
    """List versions and machine."""
    rows = settings(record.environment)
    return pairs(rows, "wide") if rows else None


def pairs(rows: Iterable[tuple[str, Content]], kind: str = "") -> Markup:
    """Make a list of names and values."""
    entries = [element("div", element("dt", name), element("dd", value)) for name, value in rows]
    return element("dl", entries, class_=f"pairs-list {kind}".strip())


def settings(nested: Mapping[str, Any]) -> list[tuple[str, Content]]:
    """Return nested settings as rows for `pairs`, one for each path."""
    return [(str(key), _value(value)) for key, value in flat(nested).items()]


def _value(value: Any) -> str:
    return clipped(setting(value), 120)


def _notes(notes: Any) -> Markup | None:
    items = [
        element("li", element("span", str(note.get("kind") or "note"), class_="tag"), " ", str(note["text"]))
        for note in notes or ()
        if isinstance(note, Mapping) and note.get("text")
    ]
    if not items:
        return None
    return element("div", element("h3", "Notes on the data"), element("ul", items, class_="notes"))


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
    more = len(layers) - MOST_LAYERS
    return element(
        "div",
        html_table(("parameter", "shape", "role", "count"), rows, "layer-table"),
        element("p", f"{more} more are omitted here; problem.json has them.", class_="note")
        if more > 0
        else None,
        class_="scrolls",
    )


def _shape(shape: Any) -> str:
    if not isinstance(shape, list | tuple):
        return str(shape or "")
    return " \u00d7 ".join(f"{side}" for side in shape) or "scalar"


def _share(number: Any, total: float | None) -> Markup:
    value = as_number(number)
    share = value / total if value is not None and total else 0.0
    return element("span", count(number), class_="share", style=f"--share:{100 * min(1.0, share):.1f}%")


def _spent(value: float | None, total: float | None) -> Markup | str:
    if value is None or not total:
        return seconds(value)
    return element(
        "span",
        f"{seconds(value)} ({percent(min(1.0, max(0.0, value / total)), 0)})",
        class_="share",
        style=f"--share:{100 * min(1.0, max(0.0, value / total)):.1f}%",
    )


def references(record: Record) -> Markup | None:
    """List what other methods reach; None where the run was not compared."""
    against = standing(record)
    if against is None:
        return None
    metric = against.metric
    network = ("this network", measure(metric, against.network), "", "", "", "")
    rows = [_method_row(network, "own")] + [
        _method_row(_method_cells(metric, each), each.relation) for each in against.standings
    ]
    about = (
        f"{metric} on the same {plural(against.rows, 'test row')}, after the same preparation. An interval "
        "covers the choice of these rows, for each method by itself."
    )
    left_out = [
        element("li", f"No references: {why}." if name == ALL else f"{name} was left out: {why}.")
        for name, why in against.skipped.items()
    ]
    return element(
        "div",
        element("div", html_table(METHOD_COLUMNS, rows, "by-class"), class_="scrolls")
        if against.standings
        else None,
        element("ul", left_out, class_="notes") if left_out else None,
        element("p", about, class_="note"),
    )


def _method_cells(metric: str, one: Standing) -> tuple[str, ...]:
    rows, spent = count(one.rows), seconds(one.seconds)
    difference = difference_text(metric, one)
    return clipped(one.name, 60), measure(metric, one.value), difference, VERDICTS[one.relation], rows, spent


def _method_row(cells: tuple[Content, ...], kind: str) -> Markup:
    first, *others = cells
    return element(
        "tr", element("th", first, scope="row"), [element("td", cell) for cell in others], class_=kind
    )
