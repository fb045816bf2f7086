"""Figures to decide by in sentences: only where a figure says something."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from thalweg.insight.wording import clipped, count, figure, listing, percent, plural

# A calibration error beyond so many times what chance makes of right probabilities is not chance.
BEYOND_CHANCE = 2.0
NAMED = 3  # columns in a sentence
NAME = 40  # characters of one
# Errors of one range beyond so many times those of another are worth saying.
UNEVEN = 1.5
WORDS = {"log_loss": "the log loss", "rmse": "the RMSE", "error_rate": "the error rate"}
# What a damaged or older entry may raise; nothing is said of it then.
UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


class Said(NamedTuple):
    """A sentence: its kind, `good` or `unclear`, and whether it belongs to the summary of a run."""

    kind: str
    text: str
    level: str = "good"
    brief: bool = True


def said(entry: Any) -> list[Said]:
    """Return the sentences on an entry `decisions`; none for one that cannot be read."""
    if not isinstance(entry, Mapping) or "rows" not in entry or "skipped" in entry:
        return []
    try:
        return [*_suspects(entry), *_classes(entry), *_values(entry), *_importance(entry), *_groups(entry)]
    except UNREADABLE:
        return []


def _classes(entry: Mapping[str, Any]) -> Iterator[Said]:
    classes = entry.get("classes")
    if not classes:
        return
    binary = classes.get("binary")
    if binary:
        inside = ""
        if binary["low"] is not None:
            inside = f" (95 % interval {binary['low']:.3f} to {binary['high']:.3f})"
        text = (
            f"ROC AUC {binary['auc']:.3f}{inside}; average precision "
            f"{binary['average_precision']:.3f}, where {percent(binary['share'])} of the rows are of "
            f"class {clipped(binary['positive'], NAME)}."
        )
        yield Said("ranking", text)
        if binary.get("cost"):
            yield Said("cost", _cost(binary["cost"]))
    elif classes.get("macro_auc") is not None:
        yield Said(
            "ranking", f"ROC AUC {figure(classes['macro_auc'], 3)}, the mean over the classes.", brief=False
        )
    held = classes.get("calibration")
    if held:
        beyond = held["error"] > BEYOND_CHANCE * held["chance"]
        text = (
            f"Probabilities are off by {_points(held['error'])} on average over groups of equally many rows; "
            f"right ones would seem off by {_points(held['chance'])} on these rows."
        )
        yield Said("calibration", text, "unclear" if beyond else "good", brief=beyond)


def _cost(cost: Mapping[str, Any]) -> str:
    where = "the threshold that costs least if probabilities are right"
    if cost["chosen_on"] == "validation":
        rows, there = plural(cost["rows"], "validation row"), figure(cost["validation"], 3)
        where = f"chosen on {rows}, where it is {there}"
    sure, saved = "", cost["saved"]
    if cost["low"] is not None:  # of what is saved, or of what is paid
        ends = (cost["low"], cost["high"]) if saved >= 0 else (-cost["high"], -cost["low"])
        sure = f" (95 % interval {' to '.join(figure(end, 2) for end in ends)})"
    change = (
        f"the first {'saves' if saved > 0 else 'costs'} {figure(abs(saved), 2)}"
        f"{'' if saved > 0 else ' more'}{sure}"
        if saved
        else "no difference"
    )
    return (
        f"With costs of {cost['fp']:g} for a false positive and {cost['fn']:g} for a false negative a row "
        f"costs {figure(cost['test'], 3)} at threshold {figure(cost['threshold'], 3)} ({where}), and "
        f"{figure(cost['usual'], 3)} at {cost['usual_threshold']:g}: {change}."
    )


def _values(entry: Mapping[str, Any]) -> Iterator[Said]:
    values = entry.get("values")
    ranges = values["ranges"] if values else []
    if len(ranges) < 2:
        return
    best, worst = (rule(ranges, key=lambda each: each["rmse"]) for rule in (min, max))
    if best["rmse"] > 0 and worst["rmse"] > UNEVEN * best["rmse"]:
        text = (
            f"Errors differ by range: the RMSE is {figure(best['rmse'], 3)} where predictions are "
            f"{_range(best)}, and {figure(worst['rmse'], 3)} where they are {_range(worst)}."
        )
        yield Said("ranges", text, brief=False)


def _importance(entry: Mapping[str, Any]) -> Iterator[Said]:
    important = entry.get("importance")
    if not important:
        return
    if "skipped" in important:
        yield Said(
            "importance", f"{important['skipped'][:1].upper()}{important['skipped'][1:]}.", brief=False
        )
        return
    sure = [each for each in important["columns"] if each["low"] > 0][:NAMED]
    metric = WORDS[important["metric"]]
    if not sure:
        text = f"No column matters by itself: {metric} does not clearly rise without its values."
        yield Said("importance", text, "unclear", brief=False)
        return
    names = [f"{clipped(each['column'], NAME)} ({figure(each['rise'], 2)})" for each in sure]
    yield Said(
        "importance",
        f"Most important: {listing(names, NAMED)}; in brackets, by how much {metric} rises when "
        "the column's values are dealt to other rows.",
    )


def _suspects(entry: Mapping[str, Any]) -> Iterator[Said]:
    for each in entry.get("suspects") or ():
        split = f", by one split (whether {clipped(each['split'], 80)})" if each.get("split") else ""
        text = (
            f"{clipped(each['column'], NAME)} alone explains {percent(each['alone'])} of the target's "
            f"variance{split}, the network {percent(each['network'])}, and no other column comes near: is it "
            "known at prediction time?"
        )
        yield Said("leak", text, "unclear")


def _groups(entry: Mapping[str, Any]) -> Iterator[Said]:
    for grouped in entry.get("groups") or ():
        groups = [each for each in grouped["groups"] if each.get("low") is not None]
        if len(groups) < 2:
            continue
        name = "accuracy" if "accuracy" in groups[0] else "rmse"
        low, high = (rule(groups, key=lambda each: each[name]) for rule in (min, max))
        ends = [
            f"{percent(each[name]) if name == 'accuracy' else figure(each[name], 3)} "
            f"({clipped(each['group'], NAME)}, {plural(each['rows'], 'row')})"
            for each in (low, high)
        ]
        apart = low["high"] < high["low"]
        tail = "" if apart else ", which may be chance"
        title = "Accuracy" if name == "accuracy" else "RMSE"
        at = grouped.get("threshold")
        title += "" if at is None else f" at threshold {at:.3g}"
        text = f"{title} by {clipped(grouped['column'], NAME)}: from {ends[0]} to {ends[1]}{tail}."
        yield Said("groups", text, "unclear" if apart else "good")


def sampled(entry: Mapping[str, Any]) -> str:
    """Return on how many rows the figures rest."""
    rows, of = entry["rows"], entry["of"]
    what = "test row" if entry.get("split") == "test" else "row"
    if rows == of:
        return f"{plural(rows, what)}"
    return f"{count(rows)} of {plural(of, what)}, drawn at random"


def _range(each: Mapping[str, Any]) -> str:
    return f"{figure(each['from'], 3)} to {figure(each['to'], 3)}"


def _points(share: float) -> str:
    return f"{figure(100 * share, 2)} points"
