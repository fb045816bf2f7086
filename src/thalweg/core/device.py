"""The hardware that this process computes on; no other module queries it."""

import os
import platform
from pathlib import Path
from typing import Any

import jax

from thalweg.core import limits


def backend() -> str:
    """Return the platform that JAX computes on by default: `cpu`, `gpu` or `tpu`."""
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.default_backend() if device is None else getattr(device, "platform", device)


def on_cpu() -> bool:
    """Return whether the default backend is the CPU; else it is an accelerator."""
    return backend() == "cpu"


def usable_cores() -> int:
    """Return the CPU cores that this process may use, which a container or `taskset` can restrict."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def processor() -> str:
    """Return the name of the processor."""
    return _first_processor().get("model name") or platform.processor()


def instruction_sets() -> str:
    """Return the processor's instruction sets, on which XLA's code depends; empty if unknown."""
    facts = _first_processor()
    return facts.get("flags") or facts.get("Features", "")


def _first_processor() -> dict[str, str]:
    """Return what Linux says about the first processor; nothing on other systems."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read(8192)  # with hundreds of processors, the whole file takes milliseconds
    except OSError:
        return {}
    lines = text.split("\n\n")[0].splitlines()
    pairs = (line.partition(":")[::2] for line in lines)
    return {name.strip(): value.strip() for name, value in pairs}


def waited_seconds() -> float | None:
    """Return how long the threads of this process have waited for a processor that other programs had.

    None where the system does not say (Linux does).
    """
    try:
        texts = [path.read_text() for path in Path("/proc/self/task").glob("*/schedstat")]
    except OSError:  # a thread has ended meanwhile
        return None
    return sum(int(text.split()[1]) for text in texts) / 1e9 if texts else None


def free_memory() -> int:
    """Return the bytes of main memory that are available to this process."""
    return limits.free_memory()


def free_on_accelerator() -> int | None:
    """Return the bytes that are free on this process's accelerators, on the one with the least.

    None on a CPU, or where they are not known. Where JAX has taken memory beforehand, what is free of that.
    """
    if on_cpu():
        return None
    found = [device.memory_stats() or {} for device in jax.local_devices(backend=backend())]
    if not all({"bytes_limit", "bytes_in_use"} <= stats.keys() for stats in found):
        return None
    return min(int(stats["bytes_limit"]) - int(stats["bytes_in_use"]) for stats in found)


def leads() -> bool:
    """Return whether this process writes and shows a run that several processes train together."""
    return jax.process_index() == 0
