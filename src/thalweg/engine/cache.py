"""XLA's persistent compilation cache, in the user's cache folder."""

import os
from pathlib import Path

import jax
import platformdirs


def folder() -> Path | None:
    """Return where things worth keeping between processes lie; None when that is switched off."""
    wanted = os.environ.get("THALWEG_CACHE", "")
    return None if wanted == "off" else Path(wanted or platformdirs.user_cache_dir("thalweg"))


def enable() -> None:
    """Turn the cache on, unless the user has set (or switched off) one of their own.

    `THALWEG_CACHE` names another folder; `THALWEG_CACHE=off` leaves it off. Programs that compile in under
    a tenth of a second are not stored: reading them back takes about as long.
    """
    at = folder()
    if at is None or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(at / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
