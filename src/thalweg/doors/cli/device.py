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
    platform = {"gpu": "cuda", "cpu": "cpu"}[str(device)]
    jax.config.update("jax_platforms", platform if platform == "cpu" else "cuda,cpu")
    try:
        jax.devices()
    except RuntimeError as error:
        raise BadInput(
            "--device",
            "must name a device that JAX finds here",
            got=str(device),
            hint="leave --device out; for NVIDIA cards install thalweg[cuda]",
        ) from error
