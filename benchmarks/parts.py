"""A GPT's update with parts of the batch computed at the same time: a prototype, not used by the engine.

XLA divides each product of a whole batch between two threads. Two halves of the batch, each on one thread,
would divide nothing; their gradients are added once. In plain JAX: the whole batch; both halves in one
program, which XLA may run at the same time; one half on each of two host devices; each also on one thread.
Milliseconds of an update, and of processor time: where cores are shared with other work only the latter means
anything.
"""

from typing import Any

from benchmarks.gpt import SETTINGS
from benchmarks.machine import markdown, shown, spread
from benchmarks.processes import Contestant, contest, ratios

ROUNDS, STEPS, LAYERS = 9, 10, 4
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "whole": ("whole", {}),
    "whole, one thread": ("whole", ONE_THREAD),
    "halves": ("halves", {}),
    "halves, one thread each": ("halves", ONE_THREAD),
    "two devices": ("devices", TWO_DEVICES),
    "two devices, one thread each": (
        "devices",
        {"XLA_FLAGS": " ".join([*ONE_THREAD.values(), *TWO_DEVICES.values()])},
    ),
}


def run(quick: bool) -> dict[str, Any]:
    """Measure all forms at both settings; the quick form has one layer and one setting."""
    settings = dict(list(SETTINGS.items())[:1]) if quick else SETTINGS
    return {"rows": {name: _contest(*setting, quick) for name, setting in settings.items()}}


def _contest(context: int, batch: int, quick: bool) -> dict[str, Any]:
    setting = {"context": context, "batch": batch, "steps": 2 if quick else STEPS}
    setting["layers"] = 1 if quick else LAYERS
    contestants = [
        Contestant(label, "parts", setting | {"form": form}, environment)
        for label, (form, environment) in FORMS.items()
    ]
    return contest(contestants, 1 if quick else ROUNDS)


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for setting, contestants in result["rows"].items():
        for label in FORMS:
            blocks = contestants[label].get("blocks")
            if blocks is None:
                rows.append([setting, label, contestants[label]["error"], "", ""])
                continue
            times = [
                shown(spread(1e3 * block[name] / block["steps"] for block in blocks), 1)
                for name in ("seconds", "processor")
            ]
            relative = shown(spread(ratios(contestants["whole"], contestants[label])))
            rows.append([setting, label, *times, relative])
    return markdown(["", "batch", "ms an update", "ms of processor time", "time relative to whole"], rows)
