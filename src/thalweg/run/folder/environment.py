"""Where a run happened: versions and machine."""

import os
import platform
from importlib.metadata import version
from typing import Any

import jax

PACKAGES = ("thalweg", "jax", "jaxlib", "equinox", "optax", "numpy")


def environment() -> dict[str, Any]:
    """Return versions of what matters, the device and the machine's kind (no names, no paths)."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "precision": "float32",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()
