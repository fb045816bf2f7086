"""A sweep as text for 80 columns: the verdict and the ranked table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight import sweep_statements
from thalweg.insight.intervals import Estimate
from thalweg.insight.outcome import table
from thalweg.insight.ranking import BEST, DIVERGED, FROZEN, TIED, UNSTABLE, RankedSetting, Ranking
from thalweg.insight.wording import count, figure, listing, plural, seconds
from thalweg.view.text import LEVELS, bullets, facts

MOST_ROWS = 24  # of the ranked table: a screen; longer tables are read in a file
# `worse` needs no word, and without an interval there is none.
_WORDS = {BEST: "best", TIED: "tied", FROZEN: "ended early"}
_STYLES = {BEST: "bold green", TIED: "", UNSTABLE: "yellow", DIVERGED: "red"}


def show(ranking: Ranking, result: Mapping[str, Any], most: int = MOST_ROWS) -> RenderableType:
    """Show the verdict on a sweep, and its settings in order.

    Args:
        ranking: From `thalweg.insight.ranking.rank`.
        result: The object of sweep.json.
        most: Rows of the table.
    """
    title = Text(sweep_statements.headline(ranking), style=f"bold {LEVELS[sweep_statements.level(ranking)]}")
    statements = bullets(sweep_statements.statements(ranking))
    rows = [_ranked(ranking, most), Text()] if len(ranking.entries) > 1 else []
    return Group(title, Text(), *statements, Text(), *rows, facts(_facts(ranking, result)))


def difference(behind: Estimate | None) -> str:
    """Write how far a setting is behind the best, with its interval: `+0.012 (0.008 to 0.016)`."""
    if behind is None:
        return ""
    shown = figure(behind.mean, 3)
    signed = shown if shown.startswith("-") or behind.mean == 0 else f"+{shown}"
    if behind.low is None or behind.high is None:
        return signed
    return f"{signed} ({figure(behind.low, 2)} to {figure(behind.high, 2)})"


def _ranked(ranking: Ranking, most: int) -> RenderableType:
    lines = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    lines.add_column("", justify="right", no_wrap=True)
    lines.add_column("setting", overflow="fold", min_width=12)
    lines.add_column(sweep_statements.by_words(ranking), no_wrap=True)
    lines.add_column("behind the best", no_wrap=True)
    lines.add_column("", overflow="fold")
    for entry in ranking.entries[:most]:
        lost = entry.status == DIVERGED
        cells = (
            ["", _diverged(entry), ""] if lost else [_loss(entry), difference(entry.behind), status(entry)]
        )
        style = _STYLES.get(entry.status, "")
        rank = "" if entry.rank is None else str(entry.rank)
        lines.add_row(rank, Text(entry.label), *cells, style=style)
    more = len(ranking.entries) - most
    if more <= 0:
        return lines
    return Group(lines, Text(f"{plural(more, 'more setting')} in sweep.json and the report", style="dim"))


def _loss(entry: RankedSetting) -> str:
    if entry.loss is None:
        return ""
    half = entry.loss.half
    return figure(entry.loss.mean) + ("" if half is None else f" ±{figure(half, 2)}")


def status(entry: RankedSetting) -> str:
    """Return how a setting compares with the best, in a word or two."""
    if entry.status == UNSTABLE:
        return f"{len(entry.diverged)} of {len(entry.lanes)} diverged"
    return _WORDS.get(entry.status, "")


def _diverged(entry: RankedSetting) -> str:
    return f"diverged{sweep_statements.steps_of(entry)}" if entry.diverged else "no result"


def _facts(ranking: Ranking, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if result.get("data"):
        task = f", {result['task']}" if result.get("task") else ""
        rows.append(("data", f"{result['data']}{task}"))
    if result.get("model"):
        rows.append(("model", str(result["model"])))
    varied = [path for path in result.get("varied") or () if path in ranking.factors]
    varied += [f"{count(ranking.seeds)} {ranking.over}"] if ranking.seeds > 1 else []
    rows += [("varied", listing(varied, limit=12))] if varied else []
    groups = result.get("groups") or ()
    rows += [("lanes", f"{count(ranking.lanes)} in {plural(len(groups), 'group')}")] if groups else []
    total = table(result, "seconds").get("total")
    rows += [("cost", seconds(total))] if total is not None else []
    rows += [("folder", str(result["run"]))] if result.get("run") else []
    return rows
