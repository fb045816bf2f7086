"""What a run was predicted to cost, beside what it did cost: the entry `cost` of result.json.

The prediction is that of `cost`, for the recipe and machine of the run. It is made for runs on one CPU that
trained long enough for a mean to stand, and so long that its own time does not matter; a short run's clock
says more about starting than about updates.
"""

from __future__ import annotations

from typing import Any

from thalweg.core import device, limits
from thalweg.insight.cost.cost import cost
from thalweg.insight.cost.fitting import compiled_bytes
from thalweg.run.run import Run

# The fewest seconds of training, and the most of compilation as a share of them: the prediction traces the
# program, and compiles it again where no cache has it.
LEAST_SECONDS, COMPILE_SHARE = 30.0, 0.05


def judged(run: Run) -> dict[str, Any]:
    """Return the entry `cost` of result.json; nothing for a run that is too short, or not on one CPU.

    The entry has `step_seconds` (`predicted`, None where the machine's rates are not known, and `measured`),
    `memory` (bytes: `predicted`, `compiled` by XLA's buffer assignment, and `process`, the most that the
    whole process held so far; None where the system does not say), and `operations` (`step`, counted, and
    `rate`, those of a second of training).
    """
    spent = run.result.get("seconds") or {}
    train, compiling = (float(spent.get(name) or 0.0) for name in ("train", "compile"))
    steps = int(run.result.get("steps") or 0)
    apart = run.record.environment.get("mesh") or not device.on_cpu()
    if apart or not steps or train < LEAST_SECONDS or compiling > COMPILE_SHARE * train:
        return {}
    try:
        return {"cost": compared(run, train / steps)}
    except Exception:  # of a model that cannot be traced so: the run has been trained, and must not be lost
        return {}


def compared(run: Run, step_seconds: float) -> dict[str, Any]:
    """Return the entry for a run whose updates took so many seconds each; see `judged`."""
    predicted = cost(run.problem, run.recipe, measure=False)
    return {
        "step_seconds": {"predicted": predicted.step_seconds, "measured": step_seconds},
        "memory": {
            "predicted": predicted.memory.total,
            "compiled": compiled_bytes(run.problem, run.recipe),
            "process": limits.peak_memory(),
        },
        "operations": {"step": predicted.step, "rate": predicted.step / step_seconds},
    }
