"""What a figure was measured on, and how it is summed up."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

PACKAGES = ("thalweg", "jax", "equinox", "optax", "numpy", "torch", "scikit-learn")


def machine() -> dict:
    """Return date, processor, cores and versions."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def data_folder() -> Path:
    """Return the folder of real data: THALWEG_DATA, or ../shared/data."""
    return Path(os.environ.get("THALWEG_DATA", Path(__file__).parents[2] / "shared" / "data"))


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    ordered = sorted(values)
    return {"median": median(ordered), "low": ordered[0], "high": ordered[-1], "runs": len(ordered)}


def shown(found: dict[str, float], digits: int = 2) -> str:
    """Write a spread as `median (low-high)`."""
    return f"{found['median']:.{digits}f} ({found['low']:.{digits}f}-{found['high']:.{digits}f})"


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
    path = Path("/proc/cpuinfo")
    names = (
        [line for line in path.read_text().splitlines() if line.startswith("model name")]
        if path.exists()
        else []
    )
    return names[0].split(":", 1)[1].strip() if names else platform.processor()
