"""The scoreboard as Markdown: a row for each method, the goals, a row for each task."""

from collections.abc import Callable
from typing import Any

from benchmarks.finders.scores import summary
from benchmarks.machine import markdown

HEADER = [
    "method",
    "octaves from the best, median",
    "within 2x",
    "within 2x or regret <= 1 %",
    "regret, median",
    "mean",
    "90 % quantile",
    "best inside the interval",
    "diverged",
    "tied with the best",
    "no worse than own rate",
    "cost in runs: median (max)",
]
# Rows of the finder that have goals: with its default budget, and as `--lr auto` uses it.
DEFAULT_BUDGET, CAPPED = "found", "tenth"
OURS = ("tenth", "run", "ten", "found")


def table(result: dict[str, Any]) -> str:
    """Return all tables of a result."""
    blocks = []
    for group, tasks in result["groups"].items():
        if not tasks:
            continue
        flat = sum(task["flat"] for task in tasks.values())
        blocks.append(
            f"**{len(tasks)} tasks, {group}.** On {flat} of them the recipe's own rate cannot be "
            "distinguished from the best; regret is then relative to the noise (twice the standard error of "
            "the difference)."
        )
        figures = _figures(tasks)
        blocks.append(
            markdown(HEADER, [_row(result["labels"][name], summary) for name, summary in figures.items()])
        )
        blocks.append(_goals(figures))
    blocks.append(_truth(result))
    for group, tasks in result["groups"].items():
        if tasks:
            blocks.append(f"Each task, {group}:\n\n" + _by_task(tasks))
    return "\n\n".join(block for block in blocks if block)


def _figures(tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = next(iter(tasks.values()))["scores"]
    return {name: summary([task["scores"][name] for task in tasks.values()]) for name in names}


def _row(label: str, scores: dict[str, Any]) -> list[str]:
    return [
        label,
        "" if scores["octaves"] is None else f"{scores['octaves']:.2f}",
        _percent(scores["within"]),
        _percent(scores["good"]),
        f"{scores['regret']:.3f}",
        f"{scores['regret_mean']:.3f}",
        f"{scores['regret_high']:.3f}",
        _percent(scores["inside"]),
        str(scores["diverged"]),
        _percent(scores["tied"]),
        _percent(scores["no_worse"]),
        f"{scores['share']:.2g} ({scores['share_high']:.2g})",
    ]


def _goals(figures: dict[str, dict[str, Any]]) -> str:
    """Return a table of the goals that the finder reaches or misses."""
    rows = []
    for name, label in ((DEFAULT_BUDGET, "default budget"), (CAPPED, "a tenth of a run")):
        if name in figures:
            figure = figures[name]
            rows += [
                _goal(
                    f"octaves from the best, median, {label}", figure["octaves"], "<= 0.5", lambda x: x <= 0.5
                ),
                _goal(f"within 2x or regret <= 1 %, {label}", figure["good"], ">= 95 %", lambda x: x >= 0.95),
                _goal(f"picks that diverge, {label}", figure["diverged"], "0", lambda x: x == 0),
                _goal(f"best inside the interval, {label}", figure["inside"], ">= 90 %", lambda x: x >= 0.9),
            ]
    if CAPPED in figures:
        figure = figures[CAPPED]
        rows += [
            _goal("`--lr auto` no worse than own rate", figure["no_worse"], ">= 90 %", lambda x: x >= 0.9),
            _goal(
                "`--lr auto`, highest cost in runs", figure["share_high"], "<= 0.1", lambda x: x <= 0.1 + 1e-9
            ),
        ]
    rows += _against(figures)
    return markdown(["goal of the finder", "measured", "bound", ""], rows) if rows else ""


def _against(figures: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Compare median and mean regret with those of the best baseline that costs no more."""
    rows = []
    for ours in (name for name in OURS if name in figures):
        share = figures[ours]["share"]
        rivals = [n for n in figures if n not in (*OURS, "halves") and figures[n]["share"] <= 1.05 * share]
        for figure, label in (("regret", "median"), ("regret_mean", "mean")) if rivals else ():
            first = min(rivals, key=lambda name: figures[name][figure])
            bound = figures[first][figure]
            goal = f"{label} regret, {ours} ({share:.2g} runs), against the best baseline of no greater cost"
            value = figures[ours][figure]
            rows.append(_goal(goal, value, f"< {bound:.3f} ({first})", lambda x, b=bound: x < b))
    return rows


def _goal(label: str, value: float | None, bound: str, reached: Callable[[Any], bool]) -> list[str]:
    if value is None:
        return [label, "not measured", bound, "not measured"]
    shown = _percent(value) if "%" in bound else f"{value:.3g}"
    return [label, shown, bound, "reached" if reached(value) else "**not reached**"]


def _truth(result: dict[str, Any]) -> str:
    tasks = [task for group in result["groups"].values() for task in group.values()]
    seconds, steps = (sum(task[name] for task in tasks) for name in ("seconds", "lane_steps"))
    return (
        f"Computing the ground truth took {seconds / 60:.0f} minutes: {steps / 1e6:.1f} million lane-steps."
    )


def _by_task(tasks: dict[str, Any]) -> str:
    shown = [name for name in (DEFAULT_BUDGET, CAPPED) if name in next(iter(tasks.values()))["scores"]]
    header = ["task", "updates", "own rate", "best rate"]
    for name in shown:
        header += [f"{name}: rate (interval)", "octaves", "regret", "runs", ""]
    return markdown(header, [_task(name, task, shown) for name, task in tasks.items()])


def _task(name: str, task: dict[str, Any], shown: list[str]) -> list[str]:
    row = [name, str(task["steps"]), f"{task['own']:.3g}", f"{task['best']:.3g}" + " (flat)" * task["flat"]]
    for method in shown:
        pick = task["scores"][method]
        interval = (
            "" if pick["low"] is None or pick["high"] is None else f" ({pick['low']:.2g}-{pick['high']:.2g})"
        )
        missed = "" if pick["inside"] in (None, True) else " *outside*"
        row += [f"{pick['rate']:.3g}{interval}{missed}", f"{pick['octaves']:.2f}", f"{pick['regret']:.3f}"]
        row += [f"{pick['share']:.2g}", "**diverged**" if pick["diverged"] else pick["standing"]]
    return row


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
