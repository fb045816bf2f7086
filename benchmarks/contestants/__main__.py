"""The process of a contestant: `python -m benchmarks.contestants NAME SETTING [--once]`.

It prints one JSON line when it is ready, then one line for each line that it reads. With `--once` it does a
single block as soon as possible and prints its result. What libraries write to standard output goes to
standard error.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Prepare, then do one block of work per input line."""
    start = time.perf_counter()
    out = _redirect_output()
    name, setting = sys.argv[1], json.loads(sys.argv[2])
    module = importlib.import_module(f"benchmarks.contestants.{name}")
    imported = time.perf_counter()
    block = module.prepare(setting)
    prepared = time.perf_counter()
    if "--once" in sys.argv:
        _print(out, block())
        return
    block()
    times = {
        "import_seconds": imported - start,
        "prepare_seconds": prepared - imported,
        "first_block_seconds": time.perf_counter() - prepared,
    }
    _print(out, times)
    for _ in sys.stdin:
        _print(out, block())


def _redirect_output() -> TextIO:
    """Return standard output, and redirect everything else that is printed to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def _print(out: TextIO, result: dict[str, Any]) -> None:
    """Print a result line with the peak memory since the last one (since the start, if not on Linux)."""
    print(json.dumps(result | {"peak_bytes": _peak_bytes()}), file=out, flush=True)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the high-water mark


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        mark = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), None)
        if mark is not None:
            return 1024 * int(mark.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
