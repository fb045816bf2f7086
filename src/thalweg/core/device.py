"""The hardware that this process computes on; no other module queries it."""

import os

import jax

from thalweg.core.lazy import psutil


def backend() -> str:
    """Return the name of JAX's default backend: `cpu`, `gpu` or `tpu`."""
    return jax.default_backend()


def on_cpu() -> bool:
    """Return whether the default backend is the CPU; else it is an accelerator."""
    return backend() == "cpu"


def usable_cores() -> int:
    """Return the CPU cores that this process may use, which a container or `taskset` can restrict."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def free_memory() -> int:
    """Return the bytes of main memory that are available."""
    return int(psutil.virtual_memory().available)
