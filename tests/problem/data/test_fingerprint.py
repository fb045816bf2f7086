"""The fingerprint is taken beside other work, and is a text to whoever reads it."""

import copy
import dataclasses
import pickle
import threading
from concurrent.futures import Future

import numpy as np
import pytest

from tests.made import blobs
from thalweg.problem.data.data import Data, fingerprint
from thalweg.problem.data.load import load

ROWS = (np.arange(80.0).reshape(40, 2), np.arange(40) % 2)


def awaiting(found: Future) -> Data:
    return dataclasses.replace(blobs(20), fingerprint=found)


def test_what_was_begun_is_the_fingerprint_of_the_parts():
    data = load(ROWS)
    assert data.fingerprint == fingerprint(data.splits)


@pytest.mark.parametrize("again", [lambda data: pickle.loads(pickle.dumps(data)), copy.deepcopy, copy.copy])
def test_data_can_be_copied_before_anybody_asked(again):
    assert again(load(ROWS)).fingerprint == load(ROWS).fingerprint


def test_who_reads_waits():
    found: Future[str] = Future()
    data = awaiting(found)
    threading.Timer(0.05, found.set_result, ["abc"]).start()
    assert data.fingerprint == "abc"
    assert dataclasses.replace(data, name="other").fingerprint == "abc"
    assert "fingerprint='abc'" in repr(data)


def test_what_went_wrong_is_told_to_who_reads():
    found: Future[str] = Future()
    found.set_exception(MemoryError("no room"))
    with pytest.raises(MemoryError, match="no room"):
        assert awaiting(found).fingerprint


def test_without_one_it_is_empty():
    data = blobs(20)
    assert Data("bare", data.task, data.train, None, None, data.preparation).fingerprint == ""
