"""All kinds of rules: which one a column gets, and how rules are written down and read back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import DATE, NUMBER, Typed
from thalweg.problem.data.inputs.dates import DateRule
from thalweg.problem.data.inputs.rules import CategoryRule, NumberRule
from thalweg.problem.data.inputs.words import WordRule

Rule = NumberRule | CategoryRule | DateRule | WordRule
RULES: dict[str, Any] = {rule.kind: rule for rule in (NumberRule, CategoryRule, DateRule, WordRule)}


def fit_rule(train: pl.Series, typed: Typed) -> Rule:
    """Fit the rule for a column's kind: text whose cells never repeat is taken by its words."""
    if typed.kind == NUMBER:
        return NumberRule.fit(train)
    if typed.kind == DATE:
        return DateRule.fit(train, typed.format)
    rule = CategoryRule.fit(train)
    words = rule if rule.categories else WordRule.fit(train)
    return words if isinstance(words, WordRule) and words.words else rule


def rule_to_dict(rule: Rule) -> dict[str, Any]:
    """Return plain values, for JSON."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(rule).items()}
    return {"kind": rule.kind} | plain


def rule_from_dict(given: dict[str, Any]) -> Rule:
    """Build a rule from plain values; the inverse of `rule_to_dict`."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return RULES[str(values.pop("kind"))](**values)
