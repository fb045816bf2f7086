"""Polars, loaded when first used: `from thalweg.core.later import pl`.

A training run makes its first table when it ends, and data that come as arrays never do; importing Polars is
a tenth of what such a process imports. A module that uses this begins with `from __future__ import
annotations`, so that its signatures do not load it.
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
else:
    pl = Later("polars")

__all__ = ["Later", "pl"]
