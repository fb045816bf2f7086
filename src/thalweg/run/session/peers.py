"""The other processes of a run that many processes train together, each on its own devices.

All of them run the same program on the same state, and must dispatch the same chunks. What a process would
decide by its clock, its signals or its folder is therefore agreed on: the first process leads, writes the
folder and says where a chunk ends; an interrupt of any process counts. The others keep nothing on disk, and
take the state to start from, first or resumed, from the first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from thalweg.run.checkpoint.safetensors_io import decode, describe_arrays, encode
from thalweg.run.checkpoint.store import ARRAYS, Checkpoint, Manifest
from thalweg.run.session.checkpointer import capture, restore
from thalweg.run.session.lane_states import LaneStates

# Lengths are sent as two numbers of 32 bits.
_WORD = 2**20


def alone(mesh: Mesh | None) -> bool:
    """Return whether this process trains by itself on these devices."""
    return mesh is None or not mesh.is_multi_process


def agreed(*numbers: float) -> list[float]:
    """Return the numbers of the first process. All processes must call it."""
    return _gathered(numbers)[0].tolist()


def anywhere(*flags: bool | np.bool) -> list[bool]:
    """Return for each flag whether it is set in any process. All processes must call it."""
    return (_gathered(flags) > 0).any(axis=0).tolist()


def _gathered(numbers: Sequence[Any]) -> Any:
    """Return the numbers of all processes, `process number`, float32."""
    return np.asarray(multihost_utils.process_allgather(np.asarray(numbers, np.float32)))


def share_state(lane_states: LaneStates) -> None:
    """Give every process the state of the first; alone, do nothing. All processes must call it."""
    if alone(lane_states.group.program.mesh):
        return
    leads, manifest, content = jax.process_index() == 0, b"", b""
    if leads:
        arrays, facts = capture(lane_states)
        content = b"".join(encode(arrays))
        files = {ARRAYS: {"bytes": len(content)}}
        manifest = Manifest("", lane_states.step, None, files, describe_arrays(arrays), facts).to_bytes()
    manifest, content = _from_first(manifest), _from_first(content)
    if not leads:
        read = Manifest.read(manifest, "the first process")
        restore(lane_states, Checkpoint(Path(), read, decode(content, read.arrays, "the first process")))


def _from_first(content: bytes) -> bytes:
    whole, rest = (int(part) for part in agreed(*divmod(len(content), _WORD)))
    padded = np.zeros(whole * _WORD + rest, np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()
