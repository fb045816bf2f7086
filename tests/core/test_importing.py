"""Importing with the collector held: it runs again afterwards, and finds what is garbage."""

import gc
import sys

import pytest

from thalweg.core.importing import imported

MODULE = """
import gc

class Cycle:
    def __init__(self):
        self.own = self

running = gc.isenabled()
Cycle()
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    (tmp_path / "imported_here.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "imported_here"
    sys.modules.pop("imported_here", None)


def test_the_collector_is_held_while_a_module_loads_and_runs_afterwards(fresh):
    assert not imported(fresh).running
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_what_became_garbage_meanwhile_is_still_collected(fresh):
    module = imported(fresh)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is module.Cycle]


def test_a_collector_that_was_off_stays_off(fresh):
    gc.disable()
    try:
        imported(fresh)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_objects_that_somebody_froze_stay_frozen(fresh):
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        imported(fresh)
        assert gc.get_freeze_count() >= frozen - 100  # a few may have died
    finally:
        gc.unfreeze()


def test_a_module_that_does_not_load_leaves_the_collector_running():
    with pytest.raises(ModuleNotFoundError):
        imported("thalweg.nothing_of_that_name")
    assert gc.isenabled()
