"""The writer that is killed, and the judge of what it leaves. No JAX, so that thousands cost minutes."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import Checkpoint, Damaged, Retention, Store
from thalweg.run.checkpoint.writer_thread import Order, Saver
from thalweg.run.folder.filesystem import DISK, Files
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.lock import Lock

RUN = "0123456789abcdef"


def arrays_of(step: int) -> dict[str, np.ndarray]:
    """Return what a checkpoint of this step holds: several types and shapes, all of it a function of it."""
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
    """Return the facts of a checkpoint of this step."""
    return {"step": step, "best": {"loss": [1 / (step + 1)]}}


def write_runs(
    folder: Path, first: int, count: int, said: Callable[[int], None], files: Files = DISK
) -> None:
    """Write checkpoints `first`, `first + 1`, ... and run.json; `said` hears of each that is durable."""
    store = Store(folder, RUN, files)
    for step in range(first, first + count):
        store.commit(step, arrays_of(step), facts_of(step), score=float(step % 3), keep=Retention(2))
        said(step)
        RunFile(RUN, {"step": step}).write(folder, [], files=files)


def write_by_thread(folder: Path, first: int, count: int, said: Callable[[int], None]) -> None:
    """Do the same with a lock and the thread that saves beside training."""
    with Lock(folder):
        saver = Saver(Store(folder, RUN), Retention(2), lambda text: None)
        for step in range(first, first + count):
            saver.submit(Order(step, arrays_of(step), facts_of(step), float(step % 3)))
            saver.settle()
            if saver.saved == step:
                said(step)
        saver.close()


def judged(folder: Path, said: int | None, visible_is_sound: bool = True) -> tuple[int | None, str | None]:
    """Look at what a killed writer left: return the newest sound step, and what is wrong (None: nothing).

    Args:
        folder: The run's folder.
        said: The last step that was said to be durable.
        visible_is_sound: Whether a name `step-...` must stand for a sound checkpoint. After a kill it must.
    """
    newest = None
    for found in Store(folder, RUN).sound():
        if isinstance(found, Damaged):
            if visible_is_sound:
                return newest, f"{found.path.name} is visible and damaged: {found.why}"
            continue
        if (wrong := different(found)) is not None:
            return newest, wrong
        newest = max(newest or 0, found.manifest.step)
    if said is not None and (newest is None or newest < said):
        return newest, f"step {said} was said to be on the disk, and the newest sound one is {newest}"
    try:
        if (folder / "run.json").exists():
            RunFile.read(folder)
    except RunFolderError as error:
        return newest, f"run.json: {error}"
    return newest, None


def different(found: Checkpoint) -> str | None:
    """Say how a checkpoint that was read as sound differs from what was written; None: in nothing."""
    wanted = arrays_of(found.manifest.step)
    same = list(found.arrays) == list(wanted) and all(
        found.arrays[name].dtype == wanted[name].dtype and np.array_equal(found.arrays[name], wanted[name])
        for name in wanted
    )
    if not same or found.manifest.facts != facts_of(found.manifest.step):
        return f"{found.path.name} reads as sound and holds something else"
    return None


def scratch(fast: bool = False) -> tempfile.TemporaryDirectory:
    """Return a folder for a trial; a fast one lies in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(
        prefix="thalweg-faults-",
        dir=memory if fast and memory.is_dir() and os.access(memory, os.W_OK) else None,
    )
