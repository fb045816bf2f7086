"""The command line as users meet it: a process, with its exit code and both of its streams."""

import gc
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.doors.forked import forks
from thalweg.doors.cli import app


def thalweg(
    *arguments: object, at: Path, fresh: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `thalweg` in the folder `at`.

    Args:
        arguments: Of the command.
        at: The folder.
        fresh: Whether by a new Python, as users do, and not by a fork of a process that has imported all.
        environment: Variables of the environment besides those of this process.
    """
    surroundings = os.environ | {"JAX_PLATFORMS": "cpu", "COLUMNS": "80"} | environment
    words = [*map(str, arguments)]
    if os.environ.get("COMMANDS_HERE") and not environment:  # where a wrong rule is planted in this process
        return called(*words, at=at)
    if not fresh and hasattr(os, "fork"):
        return forks().run(words, at, surroundings, 300.0)
    command = [sys.executable, "-m", "thalweg", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=at, env=surroundings, timeout=300, check=False
    )


def called(*arguments: object, at: Path) -> subprocess.CompletedProcess[str]:
    """Do what `thalweg` does, in this process: a new one takes seconds to import everything."""
    out, err = io.StringIO(), io.StringIO()
    command = ["thalweg", *map(str, arguments)]
    threshold = gc.get_threshold()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.chdir(at)
        patched.setattr(sys, "argv", command)
        patched.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as ended:
            app.main()
    gc.set_threshold(*threshold)
    code = ended.value.code
    return subprocess.CompletedProcess(
        command, code if isinstance(code, int) else 0, out.getvalue(), err.getvalue()
    )
