"""`thalweg browse` and `thalweg models`: everything that has a name, as one table for each kind."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from thalweg.core.errors import BadInput, did_you_mean
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.output import print_json, print_text
from thalweg.doors.cli.recipes import in_full, table
from thalweg.insight.wording import plural
from thalweg.problem.data.sets import bundled, published, synthetic
from thalweg.problem.data.sets.named import names
from thalweg.problem.losses import LOSSES, METRICS, PARAMETERS, Metric, f1_of, top_k
from thalweg.problem.models import ARCHITECTURES
from thalweg.recipe.catalogue import Row, Setting, rows, settings_of


def browse(words: list[str], as_json: bool) -> int:
    """Print every table, that of one kind, or one row in full; return the exit code.

    Args:
        words: Nothing, a kind, or a kind and a name, with or without `show` before the name.
        as_json: Whether to print one JSON object instead.

    Raises:
        BadInput: There is no such kind or name.
    """
    kind, *rest = words or [""]
    rest = [word for word in rest if word != "show"]
    if kind and kind not in KINDS:
        raise BadInput("browse", "must name a kind", got=kind, hint=did_you_mean(kind, KINDS))
    tables = {name: make() for name, make in KINDS.items() if kind in ("", name)}
    if rest:
        row = _row(tables[kind], kind, rest[0])
        print_json(row) if as_json else print_text(in_full(row))
    elif as_json:
        print_json({name: [dataclasses.asdict(row) for row in known] for name, known in tables.items()})
    else:
        print_text(_tables(tables))
    return EXIT_DONE


def _tables(tables: dict[str, list[Row]]) -> RenderableType:
    parts: list[RenderableType] = []
    for name, known in tables.items():
        parts += [Text(f"{name} (thalweg browse {name} NAME shows one in full)", style="bold"), table(known)]
        parts.append(Text())
    return Group(*parts[:-1])


def _row(known: list[Row], kind: str, name: str) -> Row:
    row = next((row for row in known if row.name == name), None)
    if row is None:
        hint = did_you_mean(name, [row.name for row in known])
        raise BadInput("browse", f"must be one of the {kind}", got=name, hint=hint)
    return row


def _datasets() -> list[Row]:
    return [Row(name, "data set", "", _about_set(name), "", ()) for name in names()]


def _about_set(name: str) -> str:
    if name in bundled.TABLES:
        known = bundled.TABLES[name]
        kind = f"{plural(len(known.classes), 'class', 'classes')}" if known.classes else "a number"
        return f"Table of {plural(len(known.columns), 'input')}; target {known.target}: {kind}. No download."
    if name in synthetic.SETS:
        return f"Made from a seed: {_first_line(synthetic.SETS[name])}"
    if name in published.SETS:
        forms = {"text": "Text.", "cifar": "Colour images."}
        where = "Searched in --folder and THALWEG_DATA, else downloaded."
        return f"{forms.get(published.SETS[name].form, 'Grey images.')} {where}"
    return "Grey images of 8 x 8 pixels, ten digits. No download."


def _models() -> list[Row]:
    return [
        Row(name, "model", kind.formula, kind.when, kind.reference, settings_of(kind))
        for name, kind in ARCHITECTURES.items()
    ]


def _losses() -> list[Row]:
    return [
        Row(name, "loss", loss.formula, loss.when, loss.reference, _options(loss))
        for name, loss in LOSSES.items()
    ]


def _options(loss: Any) -> tuple[Setting, ...]:
    values = [(field.name, getattr(loss, field.name)) for field in dataclasses.fields(loss)]
    return tuple(Setting(name, "off" if value is None else f"{value}", "", "") for name, value in values)


def _metrics() -> list[Row]:
    rows = []
    for name, metric in METRICS.items():
        rows.append(_metric(name, metric))
    rows += [_metric(f"{name}:{PARAMETERS[name]}", metric) for name, metric in _PARAMETRISED.items()]
    return rows


_PARAMETRISED = {"f1": f1_of("CLASS"), "top_k": top_k(3), "pinball": METRICS["pinball"]}


def _metric(name: str, metric: Metric) -> Row:
    best = "" if metric.best is None else f"; the best possible value is {metric.best:g}"
    direction = "Higher" if metric.higher_is_better else "Lower"
    tasks = ", ".join(metric.tasks)
    return Row(name, "metric", metric.formula, f"{direction} is better{best}. For {tasks}.", "", ())


def _components(kind: str) -> Callable[[], list[Row]]:
    return lambda: [row for row in rows() if row.kind == kind]


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


KINDS: dict[str, Callable[[], list[Row]]] = {
    "datasets": _datasets,
    "models": _models,
    "losses": _losses,
    "metrics": _metrics,
    "optimizers": _components("optimizer"),
    "schedules": _components("schedule"),
}
