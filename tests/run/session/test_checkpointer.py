"""When a checkpoint is due, and that what it needs of the log is on disk."""

import errno
import os
import sys
import threading
from types import SimpleNamespace

import pytest

from tests.made import blobs
from thalweg.core.errors import RecipeError
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.log import Log
from thalweg.run.session.checkpointer import Checkpointer, Interval
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train


def test_a_checkpoint_is_due_once_in_every_interval(tmp_path, monkeypatch):
    saver = Checkpointer(tmp_path, "run", SaveOptions(every="10"), print, dict)
    saved = []

    def save(lanes):
        saved.append(lanes.step)
        saver._saved_step = lanes.step

    monkeypatch.setattr(saver, "save", save)
    for step in (3, 9, 10, 11, 19, 20, 37, 38, 41):
        saver.save_if_due(SimpleNamespace(step=step))  # type: ignore[arg-type]
    assert saved == [10, 20, 37, 41]
    assert [saver.next_stop(step) for step in (0, 9, 10, 11)] == [10, 10, 20, 20]


def test_intervals_are_updates_or_times():
    found = [Interval.parse(text) for text in ("500", "60s", "1.5m", "1h", "off")]
    assert found == [(500, None), (None, 60), (None, 90), (None, 3600), (None, None)]
    for text in ("0", "1.5", "-1", "10d", ""):
        with pytest.raises(RecipeError, match="a number of updates"):
            Interval.parse(text)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of open files: /proc")
def test_rows_that_one_failed_sync_lost_are_in_the_log_of_the_run(tmp_path, monkeypatch):
    """No evaluation is logged between that checkpoint and the next, whose sync the system reports as done."""
    problem, recipe = Problem(MLP([6, 8, 3]), blobs()), Recipe(SGD(lr=0.1), batch_size=16, epochs=6)
    whole = train(problem, recipe, keep=SaveOptions(tmp_path / "whole", every="2"), progress=False)
    honest, safe, lost = os.fsync, dict[int, int](), list[int]()

    def fsync(descriptor):
        size = os.fstat(descriptor).st_size
        is_log = os.readlink(f"/proc/self/fd/{descriptor}").endswith("evaluations.arrows")
        if is_log and not lost and size > safe.get(descriptor, size):
            os.ftruncate(descriptor, safe[descriptor])
            lost.append(size)
            raise OSError(errno.EIO, "Input/output error")
        honest(descriptor)
        safe[descriptor] = size

    threads, rewrite = list[threading.Thread](), Log.rewrite

    def noted(log):
        threads.append(threading.current_thread())
        rewrite(log)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Log, "rewrite", noted)
    run = train(problem, recipe, keep=SaveOptions(tmp_path / "run", every="2"), progress=False)
    assert lost
    # Before each checkpoint, so that it need not wait for the next row, and by the thread that appends.
    assert threads and set(threads) == {threading.current_thread()}
    logged, wanted = (each.record.evaluations.drop("seconds") for each in (run, whole))
    assert logged.equals(wanted)
