"""What the reading of a table has to point out, besides what single checks find."""

from __future__ import annotations

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import CATEGORY, Typed
from thalweg.problem.data.inputs.fitting import Rule
from thalweg.problem.data.inputs.rules import CategoryRule, NumberRule
from thalweg.problem.data.inputs.words import WordRule
from thalweg.problem.data.note import Note


def rule_notes(rules: list[Rule], kept: tuple[Rule, ...]) -> tuple[Note, ...]:
    """Say which columns were left out, merged or transformed."""
    gone = [rule.column for rule in rules if rule not in kept]
    merged = [rule.column for rule in kept if isinstance(rule, CategoryRule) and rule.other]
    long = [rule.column for rule in kept if isinstance(rule, NumberRule) and rule.unit]
    notes = []
    if gone:
        text = f"no value repeats often enough to learn from in {', '.join(gone)}; left out."
        notes.append(Note("rare", text, tuple(gone)))
    if merged:
        notes.append(Note("rare", f"rare categories were merged in {', '.join(merged)}.", tuple(merged)))
    if long:
        notes.append(
            Note("skewed", f"the logarithm is used, for a long tail, of {', '.join(long)}.", tuple(long))
        )
    for rule in kept:
        if isinstance(rule, WordRule):
            first = ", ".join(rule.words[:8]) + (", ..." if len(rule.words) > 8 else "")
            text = f"{rule.column} is text; its {len(rule.words)} frequent words have an input each: {first}."
            notes.append(Note("words", text, (rule.column,)))
    return tuple(notes)


def missing_values(columns: dict[str, Typed]) -> tuple[Note, ...]:
    """Say how much is missing, and where."""
    shares = {name: typed.values.null_count() / typed.values.len() for name, typed in columns.items()}
    shares = {name: share for name, share in shares.items() if share > 0}
    if not shares:
        return ()
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    return (Note("missing", f"missing values: {listed}. An input says where.", tuple(shares)),)


def possible_marks(columns: dict[str, Typed]) -> tuple[Note, ...]:
    """Point out what may mark missing values: question marks, and one odd text among numbers."""
    notes = []
    for name, typed in columns.items():
        if typed.kind != CATEGORY:
            continue
        present = typed.values.drop_nulls()
        strange = present.filter(present.cast(pl.Float64, strict=False).is_null())
        odd = strange.n_unique() == 1 and strange.len() < present.len() / 2
        mark = strange[0] if odd else "?"
        count = int((present == mark).sum())
        if count:
            text = (
                f"{name} holds {mark!r} in {count} rows; if that marks a missing value, use missing={mark!r}."
            )
            notes.append(Note("missing", text, (name,)))
    return tuple(notes)
