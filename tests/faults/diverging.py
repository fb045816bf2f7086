"""NaN and infinities at a chosen step, with checkpoints before, at and after it, in runs and in lanes."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.faults.bench import different
from tests.faults.tally import Line
from tests.faults.victim import scratch
from thalweg.run.checkpoint.store import Checkpoint, Store

# As in `poisoned`, which is not imported here: it uses JAX and runs as a process of its own.
KINDS = ("loss NaN", "loss inf", "gradient NaN", "gradient inf")
# NaN and infinities that only the optimizer's state holds (and a weight without effect): the run goes on.
HIDDEN = {"moments NaN": np.isnan, "moments inf": np.isinf}
HOWS = ("it stops", "skipped", "loss scaling")
POISONED, STEPS, LANES = 20, 50, 16
# Updates between checkpoints: a checkpoint is the last before the poisoned update, of it, or of the next.
EVERY = (POISONED, POISONED + 1, POISONED + 2)
KILLS = (("before", 1), ("after", 1))
EACH_QUICK = 1  # of the quick trial's cases, one in so many
LANE_KILLS = (("after", 1), ("before", 2), ("after", 2), ("after", 3))
EQUAL = (
    "resumed, it equals the undisturbed run byte for byte: result, step, result code, weights, "
    "optimizer state, log and test figures"
)


class Case(NamedTuple):
    """One run to be killed: what goes wrong, what the recipe does about it, and when it is killed."""

    kind: str
    how: str
    every: int
    kill: tuple[str, int]
    lanes: bool = False

    @property
    def name(self) -> str:
        """Name of the folder, and in the tally."""
        return f"{self.kind}, {self.how}, every {self.every}, {self.kill[0]} {self.kill[1]}".replace(" ", "-")

    @property
    def whole(self) -> str:
        """Name of the undisturbed run."""
        return f"whole-{self.kind}-{self.how}-{self.lanes}".replace(" ", "-")


def diverging_runs(full: bool) -> Iterator[Line]:
    """Try all cases in one process that forks, and compare."""
    alone, lanes = cases(full)
    with scratch() as place:
        folder = Path(place)
        wrong = _run_all(folder, [*alone, *lanes])
        for kind in (*KINDS, *HIDDEN):
            what = f"{kind} in the optimizer's state from" if kind in HIDDEN else f"{kind} at"
            line = Line(f"{what} a chosen step; saved before, at and after it, and killed there", EQUAL)
            for case in (case for case in alone if case.kind == kind):
                line.add(wrong or _wrong(case, folder))
            yield line
        line = Line(
            "lanes that diverge in the updates around a checkpoint, next to lanes that do not; killed there",
            EQUAL,
        )
        for case in lanes:
            line.add(wrong or _wrong_lanes(case, folder, line))
        yield line


def cases(full: bool) -> tuple[list[Case], list[Case]]:
    """Return single runs and sweeps; the quick ones cover each kind, reaction and time, not every mix."""
    mixes = list(itertools.product(KINDS, HOWS))
    instants = list(itertools.product(EVERY, KILLS))
    mixes += itertools.product(HIDDEN, HOWS if full else HOWS[:1])
    if full:
        alone = [Case(*mix, *instant) for mix in mixes for instant in instants]
        return alone, [Case(kind, "", POISONED, kill, True) for kind in KINDS for kill in LANE_KILLS]
    alone = [Case(*mix, *instants[number % len(instants)]) for number, mix in enumerate(mixes)]
    lanes = [Case("loss NaN", "", POISONED, kill, True) for kill in LANE_KILLS[:2]]
    return alone[::EACH_QUICK], lanes[::EACH_QUICK]


def _run_all(folder: Path, chosen: list[Case]) -> str | None:
    """Run the undisturbed runs, run and kill the others, and resume them; return what went wrong."""
    whole = {case.whole: [case.kind, case.how, "off", case.lanes] for case in chosen}
    again = [[str(folder / case.name), case.kind, case.how, str(case.every), case.lanes] for case in chosen]
    killed = [[*job, *case.kill] for job, case in zip(again, chosen, strict=True)]
    rounds = [[[str(folder / name), *rest] for name, rest in whole.items()], killed, again]
    (folder / "jobs.json").write_text(json.dumps(rounds))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.poisoned", str(folder / "jobs.json")],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "THALWEG_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"it ended with {done.returncode}: {done.stderr[-500:]}"


def _wrong(case: Case, folder: Path) -> str | None:
    whole, again = folder / case.whole, folder / case.name
    result = json.loads((whole / "result.json").read_text())
    if (result["stopped"], result["steps"]) != _expected(case):
        return f"{case.name}: the undisturbed run ended with {result['stopped']} at {result['steps']}"
    wrong = different(whole, again) or different_states(whole, again)
    # A NaN gradient is skipped, one that only overflows when squared is not; scaled, both are.
    reaches = case.how == "it stops" or (case.kind, case.how) == ("moments inf", "skipped")
    if case.kind in HIDDEN and reaches != _holds(HIDDEN[case.kind], again):
        wrong = wrong or "the optimizer's state does not hold what it should"
    return wrong and f"{case.name}: {wrong}"


def _holds(test: Callable[[np.ndarray], np.ndarray], folder: Path) -> bool:
    newest = next(Store(folder).sound(), None)
    arrays = newest.arrays if isinstance(newest, Checkpoint) else {}
    moments = [value for name, value in arrays.items() if name.startswith("state.optimizer.")]
    return any(value.dtype.kind == "f" and test(value).any() for value in moments)


def _expected(case: Case) -> tuple[str, int]:
    """Return why a run stops, and after how many updates. A bad gradient shows in the next step's loss."""
    if case.how != "it stops" or case.kind in HIDDEN:
        return "steps", STEPS
    return "diverged", POISONED + case.kind.startswith("gradient")


def _wrong_lanes(case: Case, folder: Path, line: Line) -> str | None:
    whole, again = (folder / name / "lanes" for name in (case.whole, case.name))
    names = sorted(lane.name for lane in whole.iterdir())
    stopped = json.loads((folder / case.whole / "sweep.json").read_text())["stopped"]
    line.count("lanes that diverged", stopped.get("diverged", 0))
    if len(names) != LANES or not 0 < stopped.get("diverged", 0) < LANES:
        return f"{len(names)} lanes, {stopped}"
    wrong = (different(whole / name, again / name) for name in names)
    return next((f"{case.name}: {reason}" for reason in wrong if reason), None)


def different_states(whole: Path, again: Path) -> str | None:
    """Return which array of the last saved state differs between two runs, or None.

    The step planned for all lanes is not compared: a run notices only at the end of a dispatch that its lane
    stopped, and dispatches end where checkpoints are due.
    """
    first, second = (_state(folder) for folder in (whole, again))
    if not first or list(first) != list(second) or "state.code" not in first:
        return f"the last states hold {len(first)} and {len(second)} arrays"
    return next((f"{name} differs" for name, content in first.items() if second[name] != content), None)


def _state(folder: Path) -> dict[str, bytes]:
    newest = next(Store(folder).sound(), None)
    arrays = newest.arrays if isinstance(newest, Checkpoint) else {}
    return {name: value.tobytes() for name, value in arrays.items() if name.startswith(("state.", "best."))}
