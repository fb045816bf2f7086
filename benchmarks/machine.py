"""The machine that a figure was measured on, and how figures are summarised."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.peers import installed

PACKAGES = ("thalweg", "jax", "equinox", "optax", "numpy", "torch", "scikit-learn")
# CPU flags that decide the width of the registers of a matrix product.
VECTORS = ("avx2", "avx512f", "amx_tile", "asimd", "sve")


def machine() -> dict:
    """Return date, processor, cores and versions."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "vectors": _vectors(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: number for name in PACKAGES if (number := _version(name))},
        "peers": {name: number for name, number in installed().items() if number},
    }


def data_folder() -> Path:
    """Return the folder of real data: THALWEG_DATA, or ../shared/data."""
    return Path(os.environ.get("THALWEG_DATA", Path(__file__).parents[2] / "shared" / "data"))


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, lowest, highest and number of runs."""
    ordered = sorted(values)
    return {"median": median(ordered), "low": ordered[0], "high": ordered[-1], "runs": len(ordered)}


def shown(summary: dict[str, float], digits: int = 2) -> str:
    """Return a spread as text: `median (low-high)`."""
    return f"{summary['median']:.{digits}f} ({summary['low']:.{digits}f}-{summary['high']:.{digits}f})"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor()


def _vectors() -> list[str]:
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [flag for flag in VECTORS if flag in flags]


def _cpuinfo(field: str) -> str:
    """Return a field of the first core from /proc/cpuinfo; empty on other systems."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")
