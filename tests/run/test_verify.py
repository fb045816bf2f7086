"""Verification of run folders: which files are sound, damaged or left over."""

import numpy as np
import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import Store
from thalweg.run.folder.folder import RunFile
from thalweg.run.verify import examine, inspect


def test_an_inspection_lists_sound_damaged_and_left_over_files(tmp_path):
    store = Store(tmp_path, "run")
    (tmp_path / "notes.txt").write_text("mine")
    RunFile("run").write(tmp_path, ["notes.txt"])
    store.commit(1, {"a": np.arange(5.0)}, {})
    (store.folder / ".part-step-0000000002").mkdir()
    inspection = inspect(tmp_path)
    assert not inspection.damaged
    assert (inspection.newest, inspection.ended, inspection.writer) == (1, False, None)
    assert any("left over" in check.why for check in inspection.files)
    (tmp_path / "notes.txt").write_text("MINE")
    assert [check.name for check in inspect(tmp_path).damaged] == ["notes.txt"]


def checkpoint(folder, step: int) -> None:
    Store(folder, "run").commit(step, {"a": np.arange(5.0)}, {})


def test_a_run_resumes_at_its_newest_checkpoint_or_at_the_start(tmp_path):
    RunFile("run").write(tmp_path, [])
    assert (inspect(tmp_path).newest, inspect(tmp_path).resumes_at) == (None, 0)
    for step in (3, 5):
        checkpoint(tmp_path, step)
    found = inspect(tmp_path)
    assert sum("step" in check.name for check in found.files) == 2
    assert (found.newest, found.resumes_at) == (5, 5)
    RunFile("run").write(tmp_path, [], ended=True)
    assert inspect(tmp_path).resumes_at is None


def test_a_sweep_resumes_at_the_step_of_its_slowest_shard(tmp_path):
    RunFile("run").write(tmp_path, [])
    shards = [tmp_path / "shards" / name for name in ("000", "001")]
    for shard, step in zip(shards, (7, 4), strict=True):
        checkpoint(shard, step)
    assert examine(tmp_path).resumes_at == 4
    (tmp_path / "shards" / "002").mkdir()  # has saved nothing yet
    assert examine(tmp_path).resumes_at == 0


def test_a_lane_without_run_json_is_damaged_once_its_sweep_has_ended(tmp_path):
    (tmp_path / "lanes" / "000").mkdir(parents=True)
    RunFile("run").write(tmp_path, [])
    running = examine(tmp_path)
    assert not running.damaged
    assert ("lanes/000/run.json", None, "is not written yet") in running.files
    RunFile("run").write(tmp_path, [], ended=True)
    assert examine(tmp_path).damaged == [("lanes/000/run.json", False, "no such file or directory")]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="must hold a run"):
        inspect(tmp_path / "nowhere")
