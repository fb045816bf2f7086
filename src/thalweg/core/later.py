"""Libraries that are loaded when first used: `from thalweg.core.later import pl` (Polars), `pq` (pyarrow's
Parquet), `Image` (Pillow), `special` (SciPy's functions), `psutil`.

A training run makes its first table when it ends, and data that come as arrays never do; importing Polars is
a tenth of what such a process imports, SciPy's functions of a command. A module that uses these begins with
`from __future__ import annotations`, so that its signatures do not load them.
"""

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
    import psutil
    import pyarrow.parquet as pq
    from PIL import Image
    from scipy import special
else:
    pl, Image, special = Later("polars"), Later("PIL.Image"), Later("scipy.special")
    pq, psutil = Later("pyarrow.parquet"), Later("psutil")


def import_tables() -> None:
    """Import Polars now, where there is time: while a device works.

    In the thread of the caller: beside another that imports a part of Polars, one of ours could leave both
    with half a module.
    """
    imported("polars")
