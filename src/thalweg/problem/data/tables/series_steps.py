"""The steps in time from row to row: the usual one, gaps, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.series import Arranged, Clock, SeriesColumns, counted, listed
from thalweg.problem.data.note import Note
from thalweg.problem.data.split import SeriesWindows
from thalweg.problem.data.tables.series_order import Order

# Steps are regular if this share of them is equal. Below, there is no step that a gap could exceed.
REGULAR = 0.5
# A step that is this much longer than the usual one is a gap; daylight saving moves steps of a day by 1/24.
GAP = 1.5
DAY = 86_400_000_000  # in microseconds


@dataclass(frozen=True)
class Steps:
    """The steps in time from row to row.

    Args:
        breaks: Where a gap lies between a row and the one before it, `row` of bool.
        step: The usual step in words, such as `1 day`; empty for irregular times.
        largest: The largest gap in words.
        at: Index of the row after the largest gap.
    """

    breaks: np.ndarray
    step: str = ""
    largest: str = ""
    at: int = 0


def steps_of(arranged: Arranged) -> Steps | None:
    """Find the usual step and the gaps; None without times, or without two rows in a series.

    Months and working days are steps like others: what is tried is which unit makes most steps equal.
    """
    inside = np.concatenate([[False], np.diff(arranged.codes) == 0])
    if arranged.times is None or not inside.any():
        return None
    best: tuple[float, float, np.ndarray, str] | None = None
    for unit, positions in _positions(arranged.times):
        steps = np.diff(positions, prepend=positions[0])
        values, counts = np.unique(steps[inside & (steps > 0)], return_counts=True)
        if values.size and (best is None or counts.max() / counts.sum() > best[0]):
            best = counts.max() / counts.sum(), values[counts.argmax()], steps, unit
    if best is None:
        return None
    share, usual, steps, unit = best
    if share < REGULAR:
        return Steps(np.zeros(steps.size, bool))
    breaks = inside & (steps > GAP * usual)
    at = int(np.argmax(np.where(inside, steps, 0)))
    return Steps(breaks, _in_words(usual, unit), _in_words(steps[at], unit), at)


def steps_note(
    steps: Steps, clock: Clock, arranged: Arranged, windows: tuple[int, int], left_out: bool
) -> Note:
    """Say how the times of the rows follow one another, and what becomes of gaps.

    Args:
        steps: The steps.
        clock: What says when a row was.
        arranged: The rows in order.
        windows: How many windows contain a gap, and how many there are.
        left_out: Whether those were left out.
    """
    name, columns, count = clock.name, clock.columns, int(steps.breaks.sum())
    if not steps.step:
        return Note("gaps", f"{name} has no regular step; each row is taken as one step.", columns)
    if count == 0:
        return Note("order", f"{name} runs in steps of {steps.step}, without gaps.", columns)
    assert arranged.times is not None
    end = str(arranged.times[steps.at]).removesuffix(" 00:00:00").removesuffix(".0")
    series = f" of {arranged.names[arranged.codes[steps.at]]}" if arranged.several else ""
    text = (
        f"{name} runs in steps of {steps.step}, with {counted(count, 'gap')}; the longest, of "
        f"{steps.largest}, ends at {end}{series}"
    )
    if left_out:
        text += (
            f". {counted(windows[0], 'window')} across a gap: left out; rows with empty cells in the gaps "
            "would keep those whose targets are known."
        )
    else:
        text += (
            f". They are too many to leave out the windows that contain one ({windows[0]} of {windows[1]}): "
            "each row is taken as one step."
        )
    return Note("gaps", text, columns)


def _positions(times: pl.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (unit, position of each time in it): microseconds; where possible, months and working days."""
    if times.dtype == pl.Float64:
        yield "", times.to_numpy()
        return
    microseconds = times.dt.epoch("us").to_numpy()
    yield "us", microseconds
    first_days = times.dt.day().n_unique() == 1
    month_ends = (times.dt.month_end().dt.date() == times.dt.date()).all()
    if (first_days or month_ends) and times.dt.time().n_unique() == 1:
        yield "month", (times.dt.year().cast(pl.Int64) * 12 + times.dt.month()).to_numpy()
    if (times.dt.weekday() <= 5).all() and times.dt.time().n_unique() == 1:
        days = microseconds // DAY
        weeks, weekdays = np.divmod(days + 3, 7)  # 1970-01-01 was a Thursday
        yield "working day", weeks * 5 + weekdays


def _in_words(steps: float, unit: str) -> str:
    if not unit:
        return f"{steps:g}"
    if unit == "us":
        sizes = (("day", DAY), ("hour", DAY // 24), ("minute", 60_000_000), ("second", 1_000_000))
        name, size = next(((n, s) for n, s in sizes if steps >= s and steps % s == 0), ("second", 1_000_000))
        steps, unit = steps / size, name
    elif unit == "month" and steps % 12 == 0:
        steps, unit = steps / 12, "year"
    return f"{steps:,.10g} {unit}" + ("" if steps == 1 else "s")


def series_notes(
    order: Order, rows: Mapping[str, np.ndarray], splits: Mapping[str, SeriesWindows], columns: SeriesColumns
) -> list[Note]:
    """Say how several series are divided and predicted, and which have no windows."""
    arranged = order.arranged
    if not arranged.several:
        return []
    cut = "at the same times" if order.clock is not None else "at the same share of its rows"
    text = (
        f"{len(arranged.names)} series by {' and '.join(order.series)}, each divided {cut}; no window "
        "reaches from one into another."
    )
    if columns.change is not None:
        text += " The network predicts the change from the last known value."
    notes = [Note("series", text, order.series)]
    for split, windows in splits.items():
        if split not in rows:
            continue
        codes = arranged.codes[rows[split]]
        without = np.setdiff1d(np.arange(len(arranged.names)), codes[np.asarray(windows.starts)])
        if without.size:
            names = listed([arranged.names[code] for code in without])
            need = columns.window + columns.horizon
            text = (
                f"no windows in the {split} split, for lack of {need} rows there, of {without.size} series: "
                f"{names}."
            )
            notes.append(Note("short", text, order.series))
    return notes


def border_note(splits: Mapping[str, SeriesWindows], columns: SeriesColumns) -> Note:
    """Say how many windows each split has, and that none crosses a border."""
    counts = ", ".join(f"{split.count()} windows for {name}" for name, split in splits.items())
    text = (
        f"{counts}, each of {columns.window} rows with a horizon of {columns.horizon}. The splits follow one "
        "another in time, and no window crosses from one into the next."
    )
    return Note("series", text)
