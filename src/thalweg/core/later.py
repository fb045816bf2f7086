"""Libraries that are loaded when first used: `from thalweg.core.later import pl` (Polars), `Image` (Pillow).

A training run makes its first table when it ends, and data that come as arrays never do; importing Polars is
a tenth of what such a process imports. A module that uses these begins with `from __future__ import
annotations`, so that its signatures do not load them.
"""

import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thalweg.core.importing import imported


class Later(ModuleType):
    """Stands for a module until the first of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(imported(self.__name__), name)
        setattr(self, name, found)  # the next time without coming here
        return found


if TYPE_CHECKING:
    import polars as pl
    from PIL import Image
else:
    pl, Image = Later("polars"), Later("PIL.Image")


def begin_to_import() -> None:
    """Import Polars in a thread, once, for those who are about to wait for something else than Python."""
    if "polars" not in sys.modules:
        threading.Thread(target=imported, args=("polars",)).start()
