"""Plant the wrong rules of `tests.mutants` one at a time and check that the contracts fail.

On demand, not in the gate: `python -m tests.mutations [word]` takes some minutes, prints what went unnoticed,
and ends with the score. Nothing on disk changes: a process of its own loads each mutant in place of the file.
"""

import ast
import contextlib
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

# Loaded once, before the fork; importing them starts no backend.
import equinox  # noqa: F401
import jax  # noqa: F401
import optax  # noqa: F401
import pytest

from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "thalweg" / "recipe"
WORKERS = 2


def planted(mutant: Mutant) -> str:
    """Return the file's text with the mistake in it."""
    text = (SOURCE / mutant.file).read_text(encoding="utf-8")
    before, section, after = divided(text, mutant.within)
    if section.count(mutant.right) != 1:
        place = f"{mutant.file} {mutant.within}".strip()
        raise SystemExit(f"{place}: {mutant.right!r} occurs {section.count(mutant.right)} times, not once")
    return before + section.replace(mutant.right, mutant.wrong) + after


def divided(text: str, name: str) -> tuple[str, str, str]:
    """Return a module's text before, of and after one of its classes or functions."""
    if not name:
        return "", text, ""
    (node,) = (node for node in ast.parse(text).body if getattr(node, "name", None) == name)
    lines = text.splitlines(keepends=True)
    start, end = node.lineno - 1, node.end_lineno
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])


def run(mutant: Mutant) -> int:
    """Run the contracts in a process of its own that sees the mistake; return its number."""
    child = os.fork()
    if child:
        return child
    target, text = str(SOURCE / mutant.file), planted(mutant)
    honest = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> object:
        if self.get_filename(fullname) == target:
            return compile(text, target, "exec", dont_inherit=True)
        return honest(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    code = 3
    with contextlib.suppress(BaseException):
        chosen = ["-k", mutant.words] if mutant.words else []
        code = int(
            pytest.main(
                ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", str(ROOT / mutant.tests), *chosen]
            )
        )
    os._exit(code)


def main(words: list[str]) -> int:
    """Run all mutants, or those with a word in their file's name; return 1 if one went unnoticed."""
    mutants = [mutant for mutant in MUTANTS if not words or any(word in mutant.file for word in words)]
    for mutant in mutants:
        planted(mutant)  # all of them must fit before the first is run
    waiting, running, found = list(enumerate(mutants)), {}, {}
    while waiting or running:
        while waiting and len(running) < WORKERS:
            index, mutant = waiting.pop(0)
            running[run(mutant)] = index
        child, status = os.waitpid(-1, 0)
        index = running.pop(child)
        found[index] = os.waitstatus_to_exitcode(status)
        mutant = mutants[index]
        # 1 is pytest's word for a failed test; anything else but 0 means that the mutant proves nothing.
        word = {0: "UNNOTICED", 1: "caught"}.get(found[index], f"UNCLEAR ({found[index]})")
        if word != "caught":
            print(f"{word}: {mutant.file}: {mutant.right}  ->  {mutant.wrong}", flush=True)
    caught = sum(code == 1 for code in found.values())
    print(f"{caught} of {len(mutants)} wrong rules caught")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
