"""Devices by name: rates and memory from their makers' data sheets."""

from typing import NamedTuple

from thalweg.core.caller import argument
from thalweg.core.errors import BadInput, did_you_mean

CPU = "cpu"
# Seconds between the starts of two kernels on an accelerator. A launch takes 2 to 10 microseconds on the
# host (NVIDIA, CUDA C++ Best Practices Guide); in XLA's command buffers fewer.
LAUNCH = 3e-6


class Device(NamedTuple):
    """An accelerator, as its data sheet has it; dense rates, without sparsity.

    Args:
        name: Its name.
        f32: Operations per second of matrix products of float32 as JAX computes them by default (TF32 where
            there is TF32, bfloat16 passes on a TPU).
        bf16: The same for bfloat16 (float16 where there is no bfloat16).
        vector: Operations per second outside of products, float32.
        bandwidth: Bytes per second of its memory.
        memory: Bytes of its memory.
        source: The data sheet.
    """

    name: str
    f32: float
    bf16: float
    vector: float
    bandwidth: float
    memory: float
    source: str


_SHEETS = (
    Device("A100", 156e12, 312e12, 19.5e12, 2039e9, 80e9, "NVIDIA A100 80 GB SXM data sheet, 2021"),
    Device("H100", 494.7e12, 989.4e12, 67e12, 3350e9, 80e9, "NVIDIA H100 SXM data sheet, 2023"),
    Device("H200", 494.7e12, 989.4e12, 67e12, 4800e9, 141e9, "NVIDIA H200 SXM data sheet, 2023"),
    Device("L4", 60e12, 121e12, 30.3e12, 300e9, 24e9, "NVIDIA L4 data sheet, 2023"),
    Device("T4", 8.1e12, 65e12, 8.1e12, 320e9, 16e9, "NVIDIA T4 data sheet, 2019"),
    Device("RTX4090", 82.6e12, 165.2e12, 82.6e12, 1008e9, 24e9, "NVIDIA Ada GPU Architecture, 2022"),
    Device("TPUv4", 275e12, 275e12, 4.3e12, 1228e9, 32e9, "Google Cloud TPU v4 system architecture"),
    Device("TPUv5e", 197e12, 197e12, 3.1e12, 819e9, 16e9, "Google Cloud TPU v5e system architecture"),
)
DEVICES = {device.name: device for device in _SHEETS}


def device_named(name: str) -> Device | None:
    """Return a device by name, in any spelling (`rtx-4090`); None for this machine (`cpu`).

    Raises:
        BadInput: There is none of that name.
    """
    plain = "".join(filter(str.isalnum, str(name))).lower()
    if plain == CPU:
        return None
    for known, device in DEVICES.items():
        if known.lower() == plain:
            return device
    hint = did_you_mean(str(name), [CPU, *DEVICES])
    raise BadInput(argument("device"), "must be cpu or a device with a known data sheet", got=name, hint=hint)
