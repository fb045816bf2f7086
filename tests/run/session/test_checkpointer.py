"""When a checkpoint is due."""

from types import SimpleNamespace

import pytest

from thalweg.core.errors import RecipeError
from thalweg.run.session.checkpointer import Checkpointer, Interval
from thalweg.run.spec import SaveOptions


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
