"""The file of a growing table: what a failing disk loses is written again, and what is lost is said."""

import os

import pyarrow as pa
import pytest

from thalweg.run.folder import log_stream
from thalweg.run.folder.log import Log
from thalweg.run.folder.log_stream import Stream, batches, column_of

SCHEMA = pa.schema({"lane": pa.int32(), "step": pa.int64()})


def rows(start: int, count: int = 3) -> pa.RecordBatch:
    columns = [[0] * count, range(start, start + count)]
    kinds = zip(columns, SCHEMA.types, strict=True)
    return pa.record_batch([column_of(list(values), kind) for values, kind in kinds], schema=SCHEMA)


def steps(content: bytes) -> list[int]:
    return pa.Table.from_batches(batches(content, SCHEMA), schema=SCHEMA)["step"].to_pylist()


def losing(stream: Stream, monkeypatch) -> None:
    """Let one sync fail, and with it everything that was not synced, as on a network file system."""

    def fail(descriptor: int) -> None:
        os.ftruncate(descriptor, stream._synced)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            stream.sync()


@pytest.mark.parametrize("synced", [0, 2])
def test_rows_that_a_failed_sync_loses_are_written_again(synced, tmp_path, monkeypatch):
    stream = Stream(tmp_path / "steps.arrows", SCHEMA, print)
    stream.publish(durable=False)
    for number in range(4):
        stream.append(rows(3 * number))
        if number + 1 == synced:
            stream.sync()
    losing(stream, monkeypatch)
    assert steps(stream.content()) == list(range(12))  # also if nothing is appended any more
    stream.append(rows(12))
    assert steps((tmp_path / "steps.arrows").read_bytes()) == list(range(15))
    stream.sync()
    losing(stream, monkeypatch)  # nothing is left to lose
    assert steps(stream.content()) == steps((tmp_path / "steps.arrows").read_bytes()) == list(range(15))
    stream.close()


def test_a_sync_after_a_failed_one_does_not_pass_what_was_lost_as_safe(tmp_path, monkeypatch):
    """The system tells of a failure once: the next sync succeeds, though the rows are gone."""
    stream = Stream(tmp_path / "steps.arrows", SCHEMA, print)
    stream.publish(durable=False)
    for number in range(4):
        stream.append(rows(3 * number))
    losing(stream, monkeypatch)
    with pytest.raises(OSError, match="not written again yet"):
        stream.sync()
    stream.rewrite()
    stream.sync()
    stream.append(rows(12))
    assert steps(stream.content()) == list(range(15))
    assert steps((tmp_path / "steps.arrows").read_bytes()) == list(range(15))
    stream.close()


def test_no_more_than_a_limit_is_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(log_stream, "HELD_BYTES", 1000)
    stream = Stream(tmp_path / "steps.arrows", SCHEMA, print)
    for number in range(40):
        stream.append(rows(3 * number))
        assert sum(map(len, stream._written)) <= 1000
    assert steps(stream.content()) == list(range(120))
    stream.close()


def test_rows_that_someone_removed_are_noted(tmp_path):
    notes = []
    log = Log(tmp_path, [], warn=notes.append)
    for step in range(5):
        log.evaluation(lane=0, step=step, epoch=0.5, part="test", loss=1.0, metric=0.5, seconds=0.1)
    log.sync()
    assert len(log.frames()["evaluations"]) == 5 and not notes
    file = tmp_path / "evaluations.arrows"
    os.truncate(file, file.stat().st_size - 1)
    log._read_back.clear()
    assert len(log.frames()["evaluations"]) == 4
    assert notes == ["1 rows of the log are lost: evaluations.arrows was changed while the run wrote it"]
    log.close()


def test_all_rows_are_read_while_another_thread_syncs(tmp_path):
    stream = Stream(tmp_path / "steps.arrows", SCHEMA, print)
    stream.append(rows(0))
    stream.sync()
    stream.append(rows(3))

    class Syncing:
        """Lets a sync happen just after the file was read."""

        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def read(self, count):
            content = self._file.read(count)
            stream.sync()
            return content

    stream._file = Syncing(stream._file)
    assert steps(stream.content()) == list(range(6))
    stream._file.close()
