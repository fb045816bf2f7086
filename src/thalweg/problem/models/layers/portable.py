"""Layers as exporters know them: in operations that ONNX and others have, in place of our own faster forms.

The function is the same up to rounding. Only how a program is traced depends on this, never a trained weight.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_portable = ContextVar("portable", default=False)


@contextmanager
def portable_layers() -> Iterator[None]:
    """Trace layers in common operations inside this block."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Return whether layers are traced in common operations."""
    return _portable.get()
