"""What mattered in a search: the share of the differences between trials that each setting accounts for.

An additive least-squares fit to the ranks of the trials, as a functional analysis of variance without
interactions. Ranks, because losses of bad rates dwarf all others. The trials of a round share their
structure, so for a choice the rounds are what counts: they are drawn, and shuffled, as a whole.

Reference: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, 2014
(with forests in place of the additive fit).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

DRAWS, FEWEST, RIDGE = 200, 8, 0.1
LEVEL, NOTHING = 0.05, 0.01


class Mattered(NamedTuple):
    """A setting's share.

    Args:
        setting: Its name.
        share: Of the variance of the ranks, 0 to 1.
        low, high: 95 % percentile bootstrap interval over rounds, and trials within them.
        told: Whether fewer than 5 % of shuffles give as large a share: of numbers within rounds, of
            structures among rounds; and the interval begins above 1 %. Else it cannot be told from chance.
    """

    setting: str
    share: float
    low: float
    high: float
    told: bool


def mattered(
    settings: Sequence[dict[str, Any]], figures: Sequence[float | None], rounds: Sequence[int]
) -> list[Mattered]:
    """Return the share of each setting, the largest first; empty with fewer than 8 trials.

    Args:
        settings: Of each trial, by name: numbers in -1 to 1 where it is a float, else a choice.
        figures: Lower is better; None: diverged, which ranks last.
        rounds: The round of each trial.
    """
    if len(figures) < FEWEST:
        return []
    values = np.array([np.inf if figure is None else figure for figure in figures])
    ranks = np.array([np.mean(values < v) + np.mean(values == v) / 2 for v in values])
    names = [name for name in settings[0] if len({str(row[name]) for row in settings}) > 1]
    if not names or ranks.std() == 0:
        return []
    blocks = [_columns([row[name] for row in settings]) for name in names]
    random = np.random.default_rng(0)
    own = _shares(blocks, ranks)
    members = [np.flatnonzero(np.array(rounds) == each) for each in sorted(set(rounds))]
    numbers = [isinstance(settings[0][name], float) for name in names]
    drawn, chance = [], []
    for _ in range(DRAWS):
        taken = [members[i] for i in random.integers(0, len(members), len(members))]
        rows = np.concatenate([random.choice(each, len(each)) for each in taken])
        drawn.append(_shares([block[rows] for block in blocks], ranks[rows]))
        within, among = np.arange(len(ranks)), np.arange(len(ranks))
        for each, other in zip(members, random.permutation(len(members)), strict=True):
            within[each] = random.permutation(each)
            among[each] = members[other][0]
        shuffled = zip(blocks, numbers, strict=True)
        chance.append(_shares([block[within if number else among] for block, number in shuffled], ranks))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    told = ((np.array(chance) >= own).mean(axis=0) < LEVEL) & (low > NOTHING)
    rows = [
        Mattered(name, float(own[i]), float(low[i]), float(high[i]), bool(told[i]))
        for i, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: -row.share)


def _columns(values: list[Any]) -> Float[np.ndarray, "trial column"]:
    """Return a number and its square, or one column for each choice."""
    if all(isinstance(value, float) for value in values):
        numbers = np.array(values)
        return np.stack([numbers, numbers**2], axis=1)
    known = sorted({str(value) for value in values})
    return np.array([[float(str(value) == name) for name in known] for value in values])


def _shares(blocks: list[np.ndarray], ranks: np.ndarray) -> Float[np.ndarray, " setting"]:
    """Return the variance of each setting's part of the fit, as a share of that of the ranks."""
    columns = np.concatenate(blocks, axis=1)
    columns = columns - columns.mean(axis=0)
    target = ranks - ranks.mean()
    spread = float(np.mean(target**2))
    if spread == 0:
        return np.zeros(len(blocks))
    weights = np.linalg.solve(columns.T @ columns + RIDGE * np.eye(columns.shape[1]), columns.T @ target)
    ends = np.cumsum([block.shape[1] for block in blocks])
    parts = [
        columns[:, end - block.shape[1] : end] @ weights[end - block.shape[1] : end]
        for block, end in zip(blocks, ends, strict=True)
    ]
    return np.array([min(1.0, float(np.mean(part**2)) / spread) for part in parts])
