"""The tally: one line for each kind of fault, with how often it was tried and what happened."""

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
        promise: What must hold afterwards.
        tried: Number of tries.
        broken: Number of tries in which the promise did not hold.
        seen: What was wrong in the first of these.
        skipped: Why it was not tried; empty if it was.
        counts: Other counts.
        seconds: Time of all tries.
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
        """Count one try; `wrong` says what was wrong, or is None."""
        self.tried += 1
        if wrong is not None:
            self.broken += 1
            if len(self.seen) < MOST_SHOWN:
                self.seen.append(wrong)

    def count(self, what: str, number: int = 1) -> None:
        """Add to another count."""
        self.counts[what] = self.counts.get(what, 0) + number


@dataclass(frozen=True)
class Trial:
    """A trial: `run(full)` tries its faults and yields their lines."""

    name: str
    run: Callable[[bool], Iterable[Line]]


def run_trial(trial: Trial, full: bool) -> list[Line]:
    """Run a trial and measure its time."""
    start = time.perf_counter()
    lines = []
    for line in trial.run(full):
        print(
            f"  {line.name}: {line.skipped or f'{line.tried} tried, {line.broken} broken'}",
            file=sys.stderr,
            flush=True,
        )
        for wrong in line.seen:
            print(f"BROKEN {line.name}: {wrong}", file=sys.stderr, flush=True)
        lines.append(line)
    for line in lines:
        line.seconds = (time.perf_counter() - start) / len(lines)
    return lines


def table(lines: Iterable[Line]) -> str:
    """Return the tally as a Markdown table."""
    rows = [["fault", "promise", "tried", "broken", "also counted", "seconds"], ["---"] * 6]
    for line in lines:
        also = ", ".join(f"{number} {what}" for what, number in line.counts.items())
        tried = f"not tried: {line.skipped}" if line.skipped else str(line.tried)
        rows.append([line.name, line.promise, tried, str(line.broken), also, f"{line.seconds:.0f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
