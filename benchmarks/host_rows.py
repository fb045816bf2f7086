"""Training rows on the host (`--data-on host`) against rows on the device, on a CPU: one memory for both.

So what is measured is the cost of gathering each batch and handing it over, without the transfer to an
accelerator. Both train in one process, in turn, block by block; ratios are taken within a round. On a busy
machine processor seconds say more than those of the clock.
"""

import time
from typing import Any

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread
from thalweg.engine.dispatch import ChunkLength, next_chunk
from thalweg.engine.feeds.gathered import DEVICE, HOST
from thalweg.engine.group import init_group
from thalweg.problem.models import parse

# The last one has hardly any work for each byte of a row.
CASES = (("mlp:512", 128), ("mlp:512", 1), ("linear", 128))
ROUNDS, STEPS = 11, 400


class Training:
    """A run that is continued block by block.

    Args:
        place: Where its rows are.
        batch: Rows in a batch.
    """

    def __init__(self, problem: tw.Problem, place: str, batch: int):
        self._group, self._states = init_group(
            problem, [tw.Recipe(batch_size=batch, steps=10**6)], data_on=place
        )
        self._step, self._pace, self._rows = 0, ChunkLength(self._group.program.capacity), batch

    def block(self, steps: int) -> dict[str, float]:
        """Make so many updates; return examples per second, and per processor second."""
        stop, clock, processor = self._step + steps, time.perf_counter(), time.process_time()
        while self._step < stop:
            done = next_chunk(self._group, self._states, self._step, stop, self._pace)
            self._states, self._step = done.states, self._step + done.steps
        examples = steps * self._rows
        return {
            "clock": examples / (time.perf_counter() - clock),
            "processor": examples / (time.process_time() - processor),
        }


def run(quick: bool) -> dict:
    """Train both, in turn."""
    data = tw.load("mnist", folder=data_folder())
    cases = CASES[:1] if quick else CASES
    return {"rows": [_contest(tw.Problem(parse(model), data), batch, quick) for model, batch in cases]}


def _contest(problem: tw.Problem, batch: int, quick: bool) -> dict[str, Any]:
    trainings = {place: Training(problem, place, batch) for place in (DEVICE, HOST)}
    steps, rounds = 20 if quick else STEPS, 2 if quick else ROUNDS
    found: dict[str, list[dict[str, float]]] = {place: [] for place in trainings}
    for number in range(rounds + 1):
        order = list(trainings) if number % 2 else list(trainings)[::-1]
        for place in order:
            found[place].append(trainings[place].block(steps))
    row: dict[str, Any] = {"model": problem.model_name, "batch": batch}
    for kind in ("clock", "processor"):
        pairs = zip(found[DEVICE][1:], found[HOST][1:], strict=True)  # the first compiles
        row[f"{kind} ratio"] = spread(host[kind] / device[kind] for device, host in pairs)
        row |= {f"{kind} {place}": spread(one[kind] for one in found[place][1:]) for place in found}
    return row


def table(result: dict) -> str:
    """Return the table."""
    header = ["model, batch", "examples a second, device", "host", "host / device"]
    header += ["per processor second, device", "host", "host / device"]
    rows = [
        [f"{row['model']}, {row['batch']}"]
        + [
            shown(row[f"{kind} {what}"], 2 if what == "ratio" else 0)
            for kind in ("clock", "processor")
            for what in (DEVICE, HOST, "ratio")
        ]
        for row in result["rows"]
    ]
    return markdown(header, rows)
