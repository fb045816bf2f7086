"""Processes that have imported everything: `python -m tests.faults.starter` forks one for each line it reads.

Importing JAX and Thalweg takes longer than the runs that are tried, so it is done once. No backend is started
before a fork. The intermediate process ends at once, and the new one becomes a child of the process that
asked for it, which has to be a subreaper.
"""

import ctypes
import importlib
import json
import os
import runpy
import sys
from typing import Any

MODULES = (
    *(f"thalweg.doors.cli.{name}" for name in ("app", "find", "fit", "inspect", "predict", "sweep")),
    "tests.faults.sweep",
    "thalweg.insight.references",
    "polars",
    "pyarrow.parquet",
    "rich.console",
    "thalweg",
)
# Of <linux/prctl.h> and <linux/capability.h>.
DROP_FROM_BOUNDING_SET, CAPABILITIES, VERSION_3 = 24, 41, 0x20080522


def main() -> None:
    """Fork for every line, until there is none."""
    for name in MODULES:
        importlib.import_module(name)
    print("ready", flush=True)
    reading, writing = os.pipe()
    for text in sys.stdin:
        if os.fork() == 0:
            if child := os.fork():
                os.write(writing, child.to_bytes(8, "little"))
                os._exit(0)
            _become(json.loads(text))
            return
        os.wait()  # from now on it is a child of the process that asked for it
        print(int.from_bytes(os.read(reading, 8), "little"), flush=True)


def _become(job: dict[str, Any]) -> None:
    """Be the process that a job describes."""
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(job["place"])
    os.environ.update(job["environment"])
    if "LD_PRELOAD" in os.environ:
        ctypes.CDLL(None).fault_arm_from_environment()
    if job["unprivileged"]:
        drop_privileges()
    sys.argv = [job["module"], *job["arguments"]]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


def drop_privileges() -> None:
    """Let the permissions of files count for this process, also if it is root's."""
    header, nothing = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(CAPABILITIES):  # those of programs that it starts; fails if it has none
        libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "cannot drop privileges")


if __name__ == "__main__":
    main()
