"""Processes of `thalweg`, forked from one that has imported everything: `python -m tests.doors.forked`.

Importing takes a command longer than what a test has it do. No backend of JAX is started before a fork.
"""

import atexit
import functools
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from select import select
from typing import Any

ROOT = Path(__file__).parents[2]
MODULES = (
    *(f"thalweg.doors.cli.{name}" for name in ("app", "find", "fit", "inspect", "predict", "sweep", "tape")),
    "thalweg.insight.references",
    "thalweg.view.report.page",
    "polars",
    "pyarrow.parquet",
    "rich.console",
)


class Forks:
    """The process that imports everything once, and forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._end)
        assert self._answer(300) == "ready"

    def run(
        self, arguments: list[str], at: Path, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `thalweg` in a folder with an environment, until it ends."""
        with tempfile.TemporaryDirectory() as place:
            streams = [f"{place}/{name}" for name in ("out", "err")]
            job = {"arguments": arguments, "at": str(at), "environment": environment, "streams": streams}
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            code = int(self._answer(timeout))
            out, err = (Path(name).read_text(encoding="utf-8") for name in streams)
        return subprocess.CompletedProcess(["thalweg", *arguments], code, out, err)

    def _answer(self, timeout: float) -> str:
        answers = self._process.stdout
        assert answers is not None
        if not select([answers], [], [], timeout)[0]:
            self._end()
            raise TimeoutError(f"no answer in {timeout} s")
        return answers.readline().strip()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


forks = functools.cache(Forks)


def main() -> None:
    """Fork for every line, and answer with how that process ended."""
    for name in MODULES:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(job: dict[str, Any]) -> None:
    """Be the process that a job describes."""
    outputs = [os.open(name, os.O_WRONLY | os.O_CREAT, 0o600) for name in job["streams"]]
    for source, target in zip((os.open(os.devnull, os.O_RDONLY), *outputs), range(3), strict=True):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["at"])
    sys.argv = ["thalweg", *job["arguments"]]
    runpy.run_module("thalweg", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
