"""Thalweg's `fit` without options against the defaults of other libraries, on public tables.

Same rows for all, several random divisions (four fifths for training), one thread. Scores are the share of
wrong classes, or the root mean squared error; of classifiers also log loss (shares are kept above 1e-6) and
the calibration error of the predicted class (15 equal bins; Guo et al. 2017). Two contestants differ on a set
if the 95 % interval of their paired difference over the divisions, corrected for their overlap (Nadeau &
Bengio 2003), excludes zero. CPU seconds are those of the process, of training and prediction together.

    python -m benchmarks tables --development   # the sets by which defaults may be chosen
    python -m benchmarks tables                 # the sets set aside, too; saves the result
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from math import inf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, t

from benchmarks.machine import markdown
from benchmarks.tables.rivals import OURS, contestants
from benchmarks.tables.sets import ALL, CLASSES, DEVELOPMENT, HELD_OUT, Set, splits

# Divisions of each set; a test part is a fourth as large as its training part.
DIVISIONS, OVERLAP = 5, 0.25
FLOOR, BINS = 1e-6, 15
# Figures of one contestant on one division; `score` is what ranks are made of.
Figures = dict[str, float]
Scores = dict[str, dict[str, list[Figures]]]


def run(quick: bool, seconds: float = inf) -> dict[str, Any]:
    """Score every contestant on every set; in the quick form on one small set and division."""
    if quick:
        return {"scores": score([each for each in ALL if "wine" in each.name][:1], 1, seconds=seconds)}
    held = {each.name: each.fingerprint() for each in HELD_OUT}
    return {"scores": score(ALL, DIVISIONS, seconds=seconds), "set_aside": held}


def score(
    sets: Sequence[Set],
    divisions: int,
    only: Sequence[str] = (),
    seconds: float = inf,
    kept: Path | None = None,
) -> Scores:
    """Return the figures by set and contestant, one for each division.

    Args:
        sets: The sets.
        divisions: Divisions of each.
        only: Contestants; empty for all that are installed.
        seconds: No fit starts after so many seconds.
        kept: A file in which finished figures are kept, and from which they are taken.
    """
    started = time.monotonic()
    before: Scores = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    for each in sets:
        parts = None
        for name, contestant in contestants().items():
            done = before.setdefault(each.name, {}).setdefault(name, [])
            for seed in range(len(done), divisions):
                if (only and name not in only) or time.monotonic() - started > seconds:
                    break
                parts = parts or splits(each, divisions)
                done.append(_figures(contestant, *parts[seed], each, seed))
                print(each.name, name, seed, _rounded(done[-1]), file=sys.stderr, flush=True)
                if kept is not None:
                    kept.write_text(json.dumps(before))
    chosen = {each.name for each in sets}
    return {
        name: {who: all_[:divisions] for who, all_ in own.items() if all_}
        for name, own in before.items()
        if name in chosen
    }


def _figures(contestant: Any, train: Any, test: Any, each: Set, seed: int) -> Figures:
    begun = time.process_time()
    predicted, classes = contestant(train, test, each, seed)
    cpu = time.process_time() - begun
    if classes is None:
        error = np.asarray(test[each.target], float) - predicted
        return {"score": float(np.sqrt(np.mean(error**2))), "cpu": cpu}
    at = {name: i for i, name in enumerate(classes)}
    truth = np.array([at[label] for label in test[each.target]])
    shares = np.clip(predicted, FLOOR, 1)
    shares = shares / shares.sum(axis=1, keepdims=True)
    right = shares.argmax(axis=1) == truth
    return {
        "score": float(1 - right.mean()),
        "log_loss": float(-np.log(shares[np.arange(len(truth)), truth]).mean()),
        "calibration": _calibration_error(shares.max(axis=1), right),
        "cpu": cpu,
    }


def _calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins)
    ]
    return float(sum(gaps))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Return the mean of ours minus theirs, and half the width of its 95 % interval."""
    gaps = np.subtract(ours, theirs)
    n = len(gaps)
    if n < 2:
        return float(gaps.mean()), inf
    error = sqrt((1 / n + OVERLAP) * float(gaps.var(ddof=1)))
    return float(gaps.mean()), float(t.ppf(0.975, n - 1)) * error


def verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return `win`, `loss` or `open` for ours, of which less is better."""
    mean, half = difference(ours, theirs)
    return "win" if mean < -half else "loss" if mean > half else "open"


def table(result: Mapping[str, Any]) -> str:
    """Return losses first, then ranks, pairs, log loss, calibration and CPU seconds."""
    scores: Scores = result["scores"]
    groups = {
        "sets set aside": [each for each in HELD_OUT if each.name in scores],
        "development sets": [each for each in DEVELOPMENT if each.name in scores],
    }
    return "\n\n".join(f"### {name}\n\n{_group(own, scores)}" for name, own in groups.items() if own)


def _group(sets: Sequence[Set], scores: Scores) -> str:
    complete = [each for each in sets if OURS in scores[each.name]]
    if not complete:
        return "no set was scored"
    names = list(dict.fromkeys(who for each in complete for who in scores[each.name]))
    names = [who for who in names if all(who in scores[each.name] for each in complete)]
    return "\n\n".join(
        (
            _losses(complete, scores, names),
            _summary(complete, scores, names),
            _by_set(complete, scores, names),
        )
    )


def _column(figures: Sequence[Figures], kind: str, count: int) -> list[float]:
    return [each[kind] for each in figures[:count]]


def _paired(each: Set, scores: Scores, who: str, kind: str = "score") -> tuple[list[float], list[float]]:
    own = scores[each.name]
    count = min(len(own[OURS]), len(own[who]))
    return _column(own[OURS], kind, count), _column(own[who], kind, count)


def _losses(sets: Sequence[Set], scores: Scores, names: Sequence[str]) -> str:
    lines = []
    for each in sets:
        for who in names:
            pair = _paired(each, scores, who)
            if who != OURS and verdict(*pair) == "loss":
                ours, theirs = (float(np.mean(values)) for values in pair)
                lines.append(f"- {each.name}: {ours:.4g} against {theirs:.4g} of {who}")
    return "Lost at 95 %:\n\n" + ("\n".join(lines) or "none")


def _summary(sets: Sequence[Set], scores: Scores, names: Sequence[str]) -> str:
    classes = [each for each in sets if each.task == CLASSES]
    ranks = {
        kind: _ranks(own, scores, names, kind)
        for kind, own in (("score", sets), ("log_loss", classes), ("calibration", classes))
    }
    rows = []
    for i, who in enumerate(names):
        verdicts = [verdict(*_paired(each, scores, who)) for each in sets]
        logs = [verdict(*_paired(each, scores, who, "log_loss")) for each in classes]
        pairs = [
            " / ".join(str(found.count(word)) for word in ("win", "loss", "open"))
            for found in (verdicts, logs)
        ]
        no_worse = [
            np.mean(a) <= np.mean(b) for each in classes for a, b in [_paired(each, scores, who, "log_loss")]
        ]
        cpu = [float(np.median(_column(scores[each.name][who], "cpu", DIVISIONS))) for each in sets]
        rows.append(
            [
                who,
                *(f"{ranks[kind][i]:.2f}" if classes or kind == "score" else "" for kind in ranks),
                *(["", "", ""] if who == OURS else [*pairs, f"{np.mean(no_worse):.0%}" if no_worse else ""]),
                f"{np.median(cpu):.1f} ({min(cpu):.1f}-{max(cpu):.1f})",
            ]
        )
    order = np.argsort([float(row[1]) for row in rows])
    header = [
        "defaults",
        "mean rank",
        "rank, log loss",
        "rank, calibration",
        "won / lost / open",
        "the same, log loss",
        "log loss no worse",
        "CPU s",
    ]
    return f"{len(sets)} sets, {len(classes)} of them with classes:\n\n" + markdown(
        header, [rows[i] for i in order]
    )


def _ranks(sets: Sequence[Set], scores: Scores, names: Sequence[str], kind: str) -> np.ndarray:
    rows = [
        rankdata([np.mean(_column(scores[each.name][who], kind, DIVISIONS)) for who in names])
        for each in sets
    ]
    return np.mean(rows, axis=0) if rows else np.full(len(names), np.nan)


def _by_set(sets: Sequence[Set], scores: Scores, names: Sequence[str]) -> str:
    rows = []
    for each in sets:
        own = scores[each.name]
        rows.append([each.name, *(_spread(_column(own[who], "score", DIVISIONS)) for who in names)])
    return markdown(["set", *names], rows)


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4g} ({min(values):.4g}-{max(values):.4g})"


def _rounded(figures: Figures) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def develop(only: Sequence[str], names: str, divisions: int, seconds: float) -> dict[str, Any]:
    """Score on the development sets alone; finished figures are kept in the file that TABLES_KEPT names."""
    sets = [each for each in DEVELOPMENT if any(part in each.name for part in names.split(","))]
    kept = os.environ.get("TABLES_KEPT")
    return {"scores": score(sets, divisions, only, seconds, Path(kept) if kept else None)}
