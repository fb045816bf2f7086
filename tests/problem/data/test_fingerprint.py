"""The fingerprint is computed in the background, and is a text when it is read."""

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


def awaiting(value: Future) -> Data:
    return dataclasses.replace(blobs(20), fingerprint=value)


def test_the_awaited_fingerprint_is_that_of_the_splits():
    data = load(ROWS)
    assert data.fingerprint == fingerprint(data.splits)


@pytest.mark.parametrize("again", [lambda data: pickle.loads(pickle.dumps(data)), copy.deepcopy, copy.copy])
def test_data_can_be_copied_before_the_fingerprint_is_read(again):
    assert again(load(ROWS)).fingerprint == load(ROWS).fingerprint


def test_reading_the_fingerprint_waits_for_it():
    future: Future[str] = Future()
    data = awaiting(future)
    threading.Timer(0.05, future.set_result, ["abc"]).start()
    assert data.fingerprint == "abc"
    assert dataclasses.replace(data, name="other").fingerprint == "abc"
    assert "fingerprint='abc'" in repr(data)


def test_an_error_is_raised_when_the_fingerprint_is_read():
    future: Future[str] = Future()
    future.set_exception(MemoryError("no room"))
    with pytest.raises(MemoryError, match="no room"):
        assert awaiting(future).fingerprint


def test_the_default_fingerprint_is_empty():
    data = blobs(20)
    assert Data("bare", data.task, data.train, None, None, data.preparation).fingerprint == ""
