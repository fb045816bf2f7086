"""The peers (the libraries compared with): the extra `thalweg[peers]`, or a separate environment.

`THALWEG_PEERS` names the Python of that environment; without it, the peers are expected in this one. A
separate environment keeps their version requirements apart from Thalweg's.
"""

import json
import os
import subprocess
import sys

# The peers and the libraries that they are built on.
PACKAGES = ("keras", "scikit-learn", "joblib", "torch", "lightning", "skorch", "fastai", "jax", "numpy")
_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
print(json.dumps({name: installed(name) for name in sys.argv[1:]}))
"""


def peers_python() -> str:
    """Return the interpreter of the peers' environment."""
    return os.environ.get("THALWEG_PEERS", sys.executable)


def installed() -> dict[str, str | None]:
    """Return the version of each package in the peers' environment; None if it is not installed."""
    command = [peers_python(), "-c", _ASK, *PACKAGES]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def table() -> str:
    """Return one line per package."""
    lines = [f"{name:<14}{version or 'not installed'}" for name, version in installed().items()]
    return "\n".join([f"peers in {peers_python()}", *lines])
