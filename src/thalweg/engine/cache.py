"""XLA's persistent compilation cache, in the user's cache folder."""

import os

import jax
import platformdirs


def enable() -> None:
    """Turn the cache on, unless the user has set (or switched off) one of their own.

    `THALWEG_CACHE` names another folder; `THALWEG_CACHE=off` leaves it off. Programs that compile in under
    a tenth of a second are not stored: reading them back takes about as long.
    """
    wanted = os.environ.get("THALWEG_CACHE", "")
    if wanted == "off" or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    folder = wanted or os.path.join(platformdirs.user_cache_dir("thalweg"), "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
