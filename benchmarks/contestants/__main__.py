"""A contestant's process: `python -m benchmarks.contestants NAME SETTING [--once]`.

It prints one JSON line when it is ready, then one line for each line it reads. With `--once` it does a
single block as soon as it can, and prints that. Libraries that write to standard output write to standard
error instead.
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
    """Get ready, then do a block of work whenever asked."""
    begun = time.perf_counter()
    out = _own_output()
    name, setting = sys.argv[1], json.loads(sys.argv[2])
    module = importlib.import_module(f"benchmarks.contestants.{name}")
    imported = time.perf_counter()
    block = module.prepare(setting)
    prepared = time.perf_counter()
    if "--once" in sys.argv:
        _tell(out, block())
        return
    block()
    told = {
        "import_seconds": imported - begun,
        "prepare_seconds": prepared - imported,
        "first_block_seconds": time.perf_counter() - prepared,
    }
    _tell(out, told)
    for _ in sys.stdin:
        _tell(out, block())


def _own_output() -> TextIO:
    """Return standard output, and send whatever else is printed to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def _tell(out: TextIO, found: dict[str, Any]) -> None:
    """Print a line, with the process's highest memory since the last one (or, not on Linux, ever)."""
    print(json.dumps(found | {"peak_bytes": _peak_bytes()}), file=out, flush=True)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): sets the high-water mark back


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        mark = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), None)
        if mark is not None:
            return 1024 * int(mark.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
