"""The command line as users meet it: a process, with its exit code and both of its streams."""

import gc
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from thalweg.doors.cli import app


def thalweg(*arguments: object, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `thalweg` in the folder `at`."""
    surroundings = os.environ | {"JAX_PLATFORMS": "cpu", "COLUMNS": "80"} | environment
    command = [sys.executable, "-m", "thalweg", *map(str, arguments)]
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
