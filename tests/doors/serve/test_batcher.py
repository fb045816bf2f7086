"""`Batcher` with a model that doubles: which requests share a call, who is refused, who gets which answer."""

import asyncio
import threading

import numpy as np
import pytest

from thalweg.doors.serve.batcher import Batcher, Full


class Columns:
    """Examples are the numbers themselves; their offset is a hundred times each."""

    def examples(self, rows):
        if rows == "bad":
            raise ValueError("bad rows")
        array = np.array(rows, np.float64)
        return type("Examples", (), {"inputs": array, "offsets": 100 * array, "notes": (), "labels": {}})()


class Model:
    """Doubles its inputs; `gate` holds a call until it is opened."""

    def __init__(self, fails=False):
        self.preparation = type("Preparation", (), {"columns": Columns()})()
        self.sizes, self.gate, self.fails = [], threading.Event(), fails

    def outputs(self, inputs):
        self.gate.wait(20)
        self.sizes.append(len(inputs))
        if self.fails:
            raise RuntimeError("broken")
        return 2 * inputs

    def answers_of(self, outputs, offsets):
        return {"prediction": outputs + offsets}


def served(model, requests, rows=4, waiting=100, cancel=()):
    """Send all requests while the first is computed; return their answers or errors."""

    async def run():
        batcher = Batcher(model, rows, waiting)
        first = asyncio.ensure_future(batcher.predict(lambda: requests[0], len(requests[0])))
        await asyncio.sleep(0.05)
        others = [
            asyncio.ensure_future(batcher.predict(lambda own=own: own, len(own))) for own in requests[1:]
        ]
        await asyncio.sleep(0.05)
        for number in cancel:
            others[number].cancel()
        model.gate.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        batcher.close()
        return found

    return asyncio.run(run())


def test_requests_share_calls_up_to_the_limit_and_each_gets_its_rows():
    model = Model()
    found = served(model, [[1.0], [2.0, 3.0], [4.0], [5.0], [6.0, 7.0, 8.0, 9.0, 10.0], [11.0]])
    assert model.sizes == [1, 4, 5, 1]  # a request that has more than the limit is a call of its own
    assert [each.columns["prediction"].tolist() for each in found] == [
        [102.0],
        [204.0, 306.0],
        [408.0],
        [510.0],
        [612.0, 714.0, 816.0, 918.0, 1020.0],
        [1122.0],
    ]


def test_more_rows_than_may_wait_are_refused_but_an_empty_queue_takes_any():
    found = served(Model(), [[0.0] * 9, [1.0, 2.0], [3.0, 4.0], [5.0], [6.0]], waiting=5)
    assert [isinstance(each, Full) for each in found] == [False, False, False, False, True]


def test_a_bad_request_and_one_whose_client_has_gone_spoil_none():
    model = Model()
    found = served(model, [[1.0], "bad", [2.0], [3.0]], rows=9, cancel=[1])
    assert model.sizes == [1, 2], "the others share one call"
    assert isinstance(found[1], ValueError) and isinstance(found[2], asyncio.CancelledError)
    assert found[3].columns["prediction"].tolist() == [306.0]


def test_a_model_that_fails_is_told_to_every_request():
    found = served(Model(fails=True), [[1.0], [2.0], [3.0]])
    assert all(isinstance(each, RuntimeError) for each in found)


@pytest.mark.parametrize("count", [1, 3])
def test_calls_and_requests_are_counted(count):
    async def run():
        model = Model()
        model.gate.set()
        batcher = Batcher(model, 4, 100)
        for _ in range(count):
            await batcher.predict(lambda: [1.0], 1)
        batcher.close()
        return batcher.requests, batcher.calls

    assert asyncio.run(run()) == (count, count)
