"""The option `--device`. Apart from `arguments`, which loads all that trains."""

from collections.abc import Mapping
from typing import Any

import jax

from thalweg.core.errors import BadInput

Options = Mapping[str, Any]


def use_device(device: Any) -> None:
    """Compute on `cpu` or `gpu`; None leaves the choice to JAX. Call it before JAX starts its backend.

    Raises:
        BadInput: There is no such device.
    """
    if device is None:
        return
    jax.config.update("jax_platforms", "cpu" if str(device) == "cpu" else None)
    platforms = sorted({known.platform for known in jax.devices()})
    if str(device) not in platforms:
        raise BadInput(
            "--device",
            "must name a device that JAX finds on this machine",
            got=str(device),
            where=f"found: {', '.join(platforms)}",
            hint="leave --device out; for NVIDIA cards install thalweg[cuda]",
        )
