"""Importing what is large: without passes of Python's garbage collector over objects that all stay.

JAX and what lies around it make half a million objects. The collector would go through them again and again,
0.14 s while they are imported and 0.1 s when the first program is traced.
"""

import gc
import sys
from importlib import import_module
from types import ModuleType


def imported(name: str) -> ModuleType:
    """Import a module with the collector held; what was made meanwhile counts as old to it afterwards."""
    if name in sys.modules:
        return import_module(name)
    running = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if running:
            if gc.get_freeze_count() == 0:  # else somebody froze objects on purpose
                gc.freeze()
                gc.unfreeze()
            gc.enable()
