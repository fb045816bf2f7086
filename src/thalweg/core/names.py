"""Nearest names, for hints on misspelt keys, columns and choices."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` most likely meant, or None when none is close.

    Case is ignored. The cutoff 0.5 is difflib's similarity ratio; its default of 0.6 misses
    common slips such as `weight` for `weight_decay`.
    """
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return a hint: the nearest candidate, else the list of all of them."""
    known = list(candidates)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    return "known are " + ", ".join(known) if known else "there are none"
