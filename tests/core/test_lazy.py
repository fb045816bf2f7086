"""Deferred imports restore the garbage collector; background work returns its result and blocks nothing."""

import gc
import subprocess
import sys
import threading

import pytest

from thalweg.core.lazy import import_large, in_background

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
    assert not import_large(fresh).running
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_garbage_from_the_import_is_still_collected(fresh):
    module = import_large(fresh)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is module.Cycle]


def test_a_collector_that_was_off_stays_off(fresh):
    gc.disable()
    try:
        import_large(fresh)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_objects_that_the_application_froze_stay_frozen(fresh):
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        import_large(fresh)
        assert gc.get_freeze_count() >= frozen - 100  # a few may have died
    finally:
        gc.unfreeze()


def test_a_module_that_fails_to_load_leaves_the_collector_running():
    with pytest.raises(ModuleNotFoundError):
        import_large("thalweg.nothing_of_that_name")
    assert gc.isenabled()


def test_the_future_returns_the_result():
    assert in_background(threading.get_ident).result(5) != threading.get_ident()


def test_the_future_raises_the_error():
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0).result(5)


def test_the_process_does_not_wait_for_the_thread():
    code = "from thalweg.core.lazy import in_background; import time; in_background(lambda: time.sleep(600))"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
