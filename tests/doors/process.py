"""The command line as users meet it: a process, with its exit code and both of its streams."""

import os
import subprocess
import sys
from pathlib import Path


def thalweg(*arguments: object, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `thalweg` in the folder `at`."""
    surroundings = os.environ | {"JAX_PLATFORMS": "cpu", "COLUMNS": "80"} | environment
    command = [sys.executable, "-m", "thalweg", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=at, env=surroundings, timeout=300, check=False
    )
