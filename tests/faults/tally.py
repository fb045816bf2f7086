"""The tally: what was tried, how often, and what happened. One line for each kind of fault."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MOST_SHOWN = 5


@dataclass
class Line:
    """One kind of fault.

    Args:
        name: What was done.
        promise: What must hold whenever it is done.
        tried: How often.
        broken: How often the promise did not hold; the first few with what was seen.
        skipped: Why it was not tried at all; empty when it was.
        counts: What else was counted.
        seconds: How long all of it took.
    """

    name: str
    promise: str
    tried: int = 0
    broken: int = 0
    seen: list[str] = field(default_factory=list)
    skipped: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, wrong: str | None) -> None:
        """Count one try; `wrong` says what was wrong with what came of it, None when nothing was."""
        self.tried += 1
        if wrong is not None:
            self.broken += 1
            if len(self.seen) < MOST_SHOWN:
                self.seen.append(wrong)

    def count(self, what: str, number: int = 1) -> None:
        """Count something else."""
        self.counts[what] = self.counts.get(what, 0) + number


@dataclass(frozen=True)
class Trial:
    """A kind of fault as it is carried out: `carry_out(full)` returns its lines."""

    name: str
    carry_out: Callable[[bool], Iterable[Line]]


def carried_out(trial: Trial, full: bool) -> list[Line]:
    """Carry a trial out and note how long it took."""
    begun = time.perf_counter()
    lines = []
    for line in trial.carry_out(full):
        print(
            f"  {line.name}: {line.skipped or f'{line.tried} tried, {line.broken} broken'}",
            file=sys.stderr,
            flush=True,
        )
        lines.append(line)
    for line in lines:
        line.seconds = (time.perf_counter() - begun) / len(lines)
    return lines


def table(lines: Iterable[Line]) -> str:
    """Return the tally as a Markdown table."""
    rows = [["fault", "promise", "tried", "broken", "also counted", "seconds"], ["---"] * 6]
    for line in lines:
        also = ", ".join(f"{number} {what}" for what, number in line.counts.items())
        tried = f"not tried: {line.skipped}" if line.skipped else str(line.tried)
        rows.append([line.name, line.promise, tried, str(line.broken), also, f"{line.seconds:.0f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
