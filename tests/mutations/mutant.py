"""A mutant: one wrong rule in one place, and the tests that must notice it."""

import ast
from pathlib import Path
from typing import NamedTuple

from tests.mutations.asked import tests_of

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "thalweg"


class Mutant(NamedTuple):
    """One planted mistake.

    Args:
        file: Below src/thalweg.
        within: The class or function that holds the text, dotted for a method; empty for the whole file.
        right, wrong: The text that occurs once there, and its replacement.
        tests: Files or folders of tests, those that fail soonest first.
        words: Which of their tests to run, as pytest's -k takes it; empty for all.
        made: The text of the file with the mistake, where it was made by a rule and not written.
    """

    file: str
    within: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    words: str = ""
    made: str = ""

    @property
    def floor(self) -> str:
        """The folder below src/thalweg."""
        return self.file.split("/")[0]

    def text(self) -> str:
        """Return the file's text with the mistake in it.

        Raises:
            SystemExit: The right text does not occur exactly once.
        """
        if self.made:
            return self.made
        text = (SOURCE / self.file).read_text(encoding="utf-8")
        before, section, after = divided(text, self.within)
        if section.count(self.right) != 1:
            place = f"{self.file} {self.within}".strip()
            raise SystemExit(f"{place}: {self.right!r} occurs {section.count(self.right)} times, not once")
        return before + section.replace(self.right, self.wrong) + after

    def __str__(self) -> str:
        """Return the place and the change in one line."""
        right, wrong = (" ".join(side.split()) for side in (self.right, self.wrong))
        return (
            f"{'made: ' if self.made else ''}{self.file} {self.within}: {right}  ->  {wrong or '(dropped)'}"
        )


def mutants(
    place: str, *pairs: tuple[str, str], tests: tuple[str, ...] = (), words: str = ""
) -> list[Mutant]:
    """Make mutants of a place.

    Args:
        place: File without its ending, and the class or function: `engine/step:step`.
        pairs: The right text and the wrong one.
        tests: Tests to ask before those of the module (`asked.ASKED`).
        words: Which tests of these files; then no others are asked.
    """
    name, _, within = place.partition(":")
    file = f"{name}.py"
    asked = tests if words else tuple(dict.fromkeys((*tests, *tests_of(file))))
    return [Mutant(file, within, right, wrong, asked, words) for right, wrong in pairs]


def divided(text: str, name: str) -> tuple[str, str, str]:
    """Return a module's text before, of and after one of its classes or functions."""
    if not name:
        return "", text, ""
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        (node,) = (inner for inner in node.body if getattr(inner, "name", None) == part)  # type: ignore[attr-defined]
    lines = text.splitlines(keepends=True)
    start, end = node.lineno - 1, node.end_lineno  # type: ignore[attr-defined]
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])
