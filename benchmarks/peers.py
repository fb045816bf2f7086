"""Where the peers are installed, and which: the extra `thalweg[peers]`, or an environment of their own.

`THALWEG_PEERS` names the Python of that environment; without it they are looked for in this one. An
environment of their own keeps their demands on versions away from Thalweg's.
"""

import json
import os
import subprocess
import sys

# What is compared, and what it stands on.
PACKAGES = ("keras", "scikit-learn", "joblib", "torch", "lightning", "skorch", "fastai", "jax", "numpy")
_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
def found(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
print(json.dumps({name: found(name) for name in sys.argv[1:]}))
"""


def peers_python() -> str:
    """Return the interpreter of the peers' environment."""
    return os.environ.get("THALWEG_PEERS", sys.executable)


def installed() -> dict[str, str | None]:
    """Return the version of each package there, or None."""
    command = [peers_python(), "-c", _ASK, *PACKAGES]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def table() -> str:
    """Return a line for each package."""
    lines = [f"{name:<14}{version or 'not installed'}" for name, version in installed().items()]
    return "\n".join([f"peers in {peers_python()}", *lines])
