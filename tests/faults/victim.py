"""The writer that is killed, and the check of what it leaves. Without JAX, so that thousands take minutes."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thalweg.core.disk import Files
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import Checkpoint, Damaged, Retention, Store
from thalweg.run.checkpoint.writer_thread import Saver, SaveRequest
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.lock import Lock

RUN = "0123456789abcdef"


def arrays_of(step: int) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint: several dtypes and shapes, all a function of the step."""
    rng = np.random.default_rng(step)
    return {
        "params.weight": rng.normal(size=(60, 40)).astype(np.float32),
        "params.bias": rng.normal(size=40).astype(np.float32),
        "optimizer.count": np.array(step, np.int32),
        "key": rng.integers(0, 2**32, 2, np.uint32),
        "stopped": rng.random(5) < 0.5,
        "empty": np.zeros((0, 3), np.float64),
    }


def facts_of(step: int) -> dict:
    """Return the facts of a checkpoint, a function of the step."""
    return {"step": step, "best": {"loss": [1 / (step + 1)]}}


def write_runs(
    folder: Path, first: int, count: int, report: Callable[[int], None], files: Files | None = None
) -> None:
    """Write checkpoints `first`, `first + 1`, ... and run.json; call `report` with each durable step."""
    store = Store(folder, RUN, files)
    for step in range(first, first + count):
        store.commit(step, arrays_of(step), facts_of(step), score=float(step % 3), keep=Retention(2))
        report(step)
        RunFile(RUN, {"step": step}).write(folder, [], files=files)


def write_by_thread(folder: Path, first: int, count: int, report: Callable[[int], None]) -> None:
    """Do the same under the lock and with the writer thread."""
    with Lock(folder):
        saver = Saver(Store(folder, RUN), Retention(2), lambda text: None)
        for step in range(first, first + count):
            saver.submit(SaveRequest(step, arrays_of(step), facts_of(step), float(step % 3)))
            saver.settle()
            if saver.saved == step:
                report(step)
        saver.close()


def check_left(
    folder: Path, durable: int | None, visible_is_sound: bool = True
) -> tuple[int | None, str | None]:
    """Check what a killed writer left; return the newest sound step, and what is wrong or None.

    Args:
        folder: The run folder.
        durable: The last step that was reported durable.
        visible_is_sound: Whether every name `step-...` must stand for a sound checkpoint, as after a kill.
    """
    newest = None
    for checkpoint in Store(folder, RUN).sound():
        if isinstance(checkpoint, Damaged):
            if visible_is_sound:
                return newest, f"{checkpoint.path.name} is visible and damaged: {checkpoint.why}"
            continue
        if (wrong := different(checkpoint)) is not None:
            return newest, wrong
        newest = max(newest or 0, checkpoint.manifest.step)
    if durable is not None and (newest is None or newest < durable):
        return newest, f"step {durable} was reported durable, and the newest sound checkpoint is {newest}"
    try:
        if (folder / "run.json").exists():
            RunFile.read(folder)
    except RunFolderError as error:
        return newest, f"run.json: {error}"
    return newest, None


def different(checkpoint: Checkpoint) -> str | None:
    """Return how a sound checkpoint differs from what was written, or None."""
    expected = arrays_of(checkpoint.manifest.step)
    same = list(checkpoint.arrays) == list(expected) and all(
        checkpoint.arrays[name].dtype == expected[name].dtype
        and np.array_equal(checkpoint.arrays[name], expected[name])
        for name in expected
    )
    if not same or checkpoint.manifest.facts != facts_of(checkpoint.manifest.step):
        return f"{checkpoint.path.name} reads as sound and holds other content"
    return None


def scratch(fast: bool = False) -> tempfile.TemporaryDirectory:
    """Return a temporary folder for a trial; a fast one is in memory if the system has a place for that."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(
        prefix="thalweg-faults-",
        dir=memory if fast and memory.is_dir() and os.access(memory, os.W_OK) else None,
    )
