"""A contestant's process: `python -m benchmarks.contestants NAME SETTING [--once]`.

It prints one JSON line when it is ready, then one line for each line it reads. With `--once` it does a
single block as soon as it can, and prints that. Libraries that write to standard output write to standard
error instead.
"""

import importlib
import json
import os
import resource
import sys
import time
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
    # Linux counts in kilobytes. The highest so far: of imports, compilation and data as well.
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(found | {"peak_bytes": peak}), file=out, flush=True)


if __name__ == "__main__":
    main()
