"""Checkpoints: retention, refusal of unknown schemas, and what a failed commit leaves behind."""

import errno
import os

import numpy as np
import pytest

from thalweg.core.disk import Files, replace
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import MANIFEST, Checkpoint, Damaged, Retention, Store
from thalweg.run.checkpoint.writer_thread import Saver, SaveRequest
from thalweg.run.folder.filesystem import seal, unseal
from thalweg.run.folder.folder import RunFile

ARRAYS = {"a": np.arange(5.0)}


def steps(store):
    return [int(name[5:15]) for name in store.names()]


def test_the_last_checkpoints_and_the_best_are_kept(tmp_path):
    store = Store(tmp_path, "run")
    for step, score in enumerate([5.0, 1.0, 3.0, None, 2.0, 4.0]):
        store.commit(step, ARRAYS, {}, score, Retention(last=2))
    assert steps(store) == [5, 4, 1]
    store.commit(6, ARRAYS, {}, 0.5, Retention(last=1, best=False))
    assert steps(store) == [6]
    assert os.listdir(store.folder) == ["step-0000000006"]


def test_the_newest_of_several_checkpoints_of_a_step_is_used(tmp_path):
    store = Store(tmp_path, "run")
    for number in range(3):
        store.commit(7, {"a": np.full(3, number)}, {"number": number}, keep=Retention(last=1))
    newest = next(store.sound())
    assert isinstance(newest, Checkpoint) and newest.manifest.facts == {"number": 2}
    assert newest.arrays["a"].tolist() == [2, 2, 2]


def test_the_checkpoints_up_to_a_step_include_that_of_the_step(tmp_path):
    store = Store(tmp_path, "run")
    for step in (2, 4, 6):
        store.commit(step, ARRAYS, {}, keep=Retention(last=3))
    found = [each.manifest.step for each in store.sound(4) if isinstance(each, Checkpoint)]
    assert found == [4, 2]
    store.forget_after(4)
    assert steps(store) == [4, 2]


@pytest.mark.parametrize("size", ["as long", "shorter", "longer"])
def test_arrays_with_other_bytes_are_damaged(tmp_path, size):
    store = Store(tmp_path, "run")
    path = store.commit(1, ARRAYS, {}) / "arrays.safetensors"
    content = path.read_bytes()
    last = bytes([content[-1] ^ 1])  # of the last number, so that the header is sound
    path.write_bytes(
        {"as long": content[:-1] + last, "shorter": content[:-1], "longer": content + last}[size]
    )
    (checkpoint,) = store.sound()
    assert isinstance(checkpoint, Damaged)
    with pytest.raises(RunFolderError, match=r"length and checksum|readable"):
        store.read(store.names()[0])


def test_a_checkpoint_of_another_run_is_damaged(tmp_path):
    Store(tmp_path, "run").commit(1, ARRAYS, {})
    (checkpoint,) = Store(tmp_path, "another").sound()
    assert isinstance(checkpoint, Damaged) and "of this run (run)" in checkpoint.why
    (anyone,) = Store(tmp_path).sound()
    assert isinstance(anyone, Checkpoint)


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(tmp_path):
    store = Store(tmp_path, "run")
    path = store.commit(1, ARRAYS, {})
    path.rename(path.with_name("step-0000000009"))
    (checkpoint,) = store.sound()
    assert isinstance(checkpoint, Damaged) and "step in its folder's name (1)" in checkpoint.why


def test_another_schema_is_refused_with_the_reason(tmp_path):
    store = Store(tmp_path, "run")
    store.commit(1, ARRAYS, {})
    path = tmp_path / "checkpoints" / store.names()[0] / MANIFEST
    value = unseal(path.read_bytes(), path)
    path.write_bytes(seal(value | {"schema": 99}))
    (checkpoint,) = store.sound()
    assert isinstance(checkpoint, Damaged) and "schema 1 (99)" in checkpoint.why
    RunFile().write(tmp_path, [])
    value = unseal((tmp_path / "run.json").read_bytes(), "")
    (tmp_path / "run.json").write_bytes(seal(value | {"schema": 0}))
    with pytest.raises(RunFolderError, match="must be of schema 1"):
        RunFile.read(tmp_path)


class Full(Files):
    def write(self, descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_loses_only_the_new_checkpoint(tmp_path):
    Store(tmp_path, "run").commit(1, ARRAYS, {})
    with pytest.raises(OSError, match="No space"):
        Store(tmp_path, "run", Full()).commit(2, ARRAYS, {})
    assert os.listdir(tmp_path / "checkpoints") == ["step-0000000001"]
    (tmp_path / "result.json").write_text("before")
    with pytest.raises(OSError, match="No space"):
        replace(tmp_path / "result.json", b"after", files=Full())
    assert (tmp_path / "result.json").read_text() == "before" and not list(tmp_path.glob(".*"))


def test_the_writer_thread_saves_the_newest_order_and_warns_of_failures(tmp_path):
    warnings = []
    saver = Saver(Store(tmp_path, "run", Full()), Retention(), warnings.append)
    saver.submit(SaveRequest(3, ARRAYS, {}))
    saver.close()
    assert len(warnings) == 1 and "no checkpoint at step 3: No space left" in warnings[0]
    assert saver.saved is None
    saver = Saver(Store(tmp_path, "run"), Retention(), warnings.append)
    for step in range(50):
        saver.submit(SaveRequest(step, ARRAYS, {}))
    saver.settle()
    assert saver.saved == 49 and steps(Store(tmp_path, "run"))[0] == 49
    saver.close()
    assert len(warnings) == 1


def test_an_order_that_cannot_be_written_is_a_warning(tmp_path):
    warnings = []
    saver = Saver(Store(tmp_path, "run"), Retention(), warnings.append)
    saver.submit(SaveRequest(1, {"a": np.array(["text"])}, {}))
    saver.submit(SaveRequest(2, ARRAYS, {"loss": float("nan")}))
    saver.settle()
    saver.submit(SaveRequest(3, ARRAYS, {}))
    saver.close()
    assert steps(Store(tmp_path, "run")) == [3] and 1 <= len(warnings) <= 2
    assert os.listdir(tmp_path / "checkpoints") == ["step-0000000003"]
