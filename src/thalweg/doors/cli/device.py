"""`--device`: told to JAX before it starts."""

from typing import Any

import jax

from thalweg.core.errors import BadInput


def use(device: Any) -> None:
    """Compute on `cpu` or `gpu`; None leaves the choice to JAX.

    Raises:
        BadInput: There is no such device.
    """
    if device is None:
        return
    jax.config.update("jax_platforms", "cpu" if str(device) == "cpu" else None)
    found = sorted({one.platform for one in jax.devices()})
    if str(device) not in found:
        raise BadInput(
            "--device",
            "must name a device that JAX finds here",
            got=str(device),
            where=f"found: {', '.join(found)}",
            hint="leave --device out; for NVIDIA cards install thalweg[cuda]",
        )
