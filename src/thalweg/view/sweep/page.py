"""A sweep's report: one HTML file, whole in itself."""

from itertools import combinations

from thalweg.insight import sweep_statements as sweep_findings
from thalweg.insight.outcome import table
from thalweg.insight.ranking import Ranking
from thalweg.insight.wording import count, measure, seconds
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep
from thalweg.view.figure.html import Markup, element
from thalweg.view.report import tables
from thalweg.view.report.page import document, footer
from thalweg.view.sweep import factor, grid, ranked

MOST_MAPS = 6  # heat maps; of many factors the pairs soon are more than anyone looks at


def render(sweep: Sweep, ranking: Ranking) -> str:
    """Render a sweep as one HTML file that refers to nothing outside itself.

    Args:
        sweep: From `thalweg.run.files.sweeps.read`.
        ranking: Its settings in order.

    Returns:
        The file's text; write it as UTF-8.
    """
    record = _record(sweep)
    sections = [
        ("ranking", "Settings, the best first", ranked.draw(ranking)),
        ("factors", "What each number does", _factors(ranking)),
        ("diverged", "Lanes that diverged", ranked.diverged(ranking)),
        ("data", "Data", tables.data(record)),
        ("recipe", "What did not vary", tables.recipe(record)),
        ("model", "Model", None if "model" in ranking.factors else tables.model(record)),
        ("cost", "What it cost", tables.cost(record)),
        ("environment", "Made with", tables.environment(record)),
    ]
    title = f"{sweep.folder.name}: {sweep_findings.headline(ranking)}"
    foot = footer(sweep.environment, sweep.folder, "the seeds (mean of a setting)")
    return document(title, _head(sweep, ranking), sections, foot)


def _record(sweep: Sweep) -> Record:
    """Return what a sweep shares with a run, so that a run's tables can show it."""
    varied: set[str] = set(sweep.result.get("varied") or ())
    recipe = _without(table(sweep.result, "recipe"), varied)
    return Record(sweep.folder, recipe, sweep.problem, sweep.result, sweep.environment)


def _without(recipe: dict, varied: set[str], prefix: str = "") -> dict:
    kept = {}
    for name, value in recipe.items():
        if prefix + name in varied:
            continue
        kept[name] = _without(value, varied, f"{prefix}{name}.") if isinstance(value, dict) else value
    return kept


def _factors(ranking: Ranking) -> Markup | None:
    """Draw a curve for each number that varied, and a map for each pair."""
    curves = [drawn for path in ranking.factors if (drawn := factor.draw(ranking, path)) is not None]
    choice = factor.choice_of(ranking)
    only = [None] if choice is None else [(choice, value) for value in factor.values_of(ranking, choice)]
    maps = [
        drawn
        for rows, columns in combinations(ranking.factors, 2)
        for one in only
        if (drawn := grid.draw(ranking, rows, columns, one)) is not None
    ]
    if not curves and not maps:
        return None
    kind = "small-plots" if len(curves) > 1 else None
    return element("div", maps[:MOST_MAPS], element("div", curves, class_=kind), class_="factors-list")


def _head(sweep: Sweep, ranking: Ranking) -> Markup:
    found = sweep_findings.statements(ranking)
    items = [element("li", finding.text, class_=finding.level) for finding in found]
    return element(
        "header",
        element("p", sweep.folder.name, class_="name"),
        element("h1", sweep_findings.headline(ranking)),
        element("div", _score(ranking), _tiles(sweep, ranking), class_="hero"),
        element(
            "section", element("h2", "What came of it"), element("ul", items, class_="findings"), id="verdict"
        ),
        class_="head" if ranking.best is not None else "head bad",
    )


def _score(ranking: Ranking) -> Markup | None:
    best = ranking.best
    if best is None or best.loss is None:
        return None
    if best.metric is not None and ranking.metric:
        value, name = measure(ranking.metric, best.metric.mean), f"validation {ranking.metric}"
    else:
        value, name = measure(None, best.loss.mean), sweep_findings.by_words(ranking)
    return element(
        "div",
        element("p", value, class_="figure"),
        element("p", f"{name} of {best.label}", class_="label"),
        class_="score",
    )


def _tiles(sweep: Sweep, ranking: Ranking) -> Markup:
    total = table(sweep.result, "seconds").get("total")
    lost = sum(len(entry.diverged) for entry in ranking.entries)
    tiles = [
        ("lanes", count(ranking.lanes)),
        ("settings", count(len(ranking.entries))),
        ("seeds a setting", count(ranking.seeds)),
        ("tied with the best", count(len(ranking.tied)) if ranking.seeds > 1 else None),
        ("diverged lanes", count(lost)),
        ("groups", count(len(sweep.result.get("groups") or ())) if sweep.result.get("groups") else None),
        ("model", str(sweep.result["model"]) if sweep.result.get("model") else None),
        ("time", seconds(total) if total is not None else None),
    ]
    made = [
        element("div", element("dt", name), element("dd", value))
        for name, value in tiles
        if value is not None
    ]
    return element("dl", made, class_="tiles")
