"""Decompression: whatever gzip accepts, damage refused, ahead of the reader."""

import gzip
import os

import pytest

from thalweg.core.errors import DataError
from thalweg.problem.data import load as loading
from thalweg.problem.data.files import content
from thalweg.problem.data.files.content import decompress_ahead, discard_ahead, read_bytes

ONE = gzip.compress(b"hello" * 1000, mtime=0)
OTHER = gzip.compress(b"hello" * 1000, 1, mtime=0)  # the same content, packed otherwise
EMPTY = gzip.compress(b"", mtime=0)


@pytest.mark.parametrize(
    "packed",
    [ONE, ONE + ONE, ONE + OTHER, ONE + EMPTY, EMPTY + ONE, EMPTY, ONE + b"\0" * 512],
    ids=["one", "twice", "same content", "empty last", "empty first", "empty", "padded"],
)
def test_every_member_is_decompressed(tmp_path, packed):
    (tmp_path / "x.gz").write_bytes(packed)
    assert read_bytes(tmp_path / "x.gz") == gzip.decompress(packed)


@pytest.mark.parametrize(
    "packed", [ONE[:-1], ONE[:20], ONE[:15] + b"!" + ONE[16:], b"", ONE + b"junk", b"plain text"]
)
def test_damage_is_refused(tmp_path, packed):
    (tmp_path / "x.gz").write_bytes(packed)
    if not packed:  # gzip takes an empty file for empty content
        assert read_bytes(tmp_path / "x.gz") == b""
        return
    with pytest.raises(DataError, match="whole gzip file"):
        read_bytes(tmp_path / "x.gz")


def test_a_wrong_length_allocates_no_memory(tmp_path, monkeypatch):
    asked = []
    plain = content.zlib.decompress
    monkeypatch.setattr(content.zlib, "decompress", lambda *given: asked.append(given[2]) or plain(*given))
    (tmp_path / "x.gz").write_bytes(ONE[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(DataError):
        read_bytes(tmp_path / "x.gz")
    assert asked == []


def test_a_failed_allocation_falls_back(tmp_path, monkeypatch):
    def refused(*given):
        raise MemoryError("Unable to allocate output buffer.")

    monkeypatch.setattr(content.zlib, "decompress", refused)
    (tmp_path / "x.gz").write_bytes(ONE)
    (tmp_path / "torn.gz").write_bytes(ONE[:-1])
    assert read_bytes(tmp_path / "x.gz") == b"hello" * 1000
    with pytest.raises(DataError, match="whole gzip file"):
        read_bytes(tmp_path / "torn.gz")


def test_content_decompressed_ahead_is_read_once(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(ONE)
    decompress_ahead([path])
    assert read_bytes(path) == b"hello" * 1000
    path.write_bytes(gzip.compress(b"new"))
    assert read_bytes(path) == b"new"  # nothing is kept


def test_unread_content_is_discarded(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(ONE)
    decompress_ahead([path])
    discard_ahead()
    path.write_bytes(gzip.compress(b"new"))
    assert read_bytes(path) == b"new"


def test_damage_found_ahead_is_raised_by_the_reader(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(ONE[:-1])
    decompress_ahead([path, tmp_path / "missing.gz"])
    with pytest.raises(DataError, match="whole gzip file"):
        read_bytes(path)
    with pytest.raises(DataError, match="readable"):
        read_bytes(tmp_path / "missing.gz")


def test_a_pipe_is_not_opened_ahead(tmp_path):
    os.mkfifo(tmp_path / "pipe.gz")  # to open it would wait for somebody who writes
    decompress_ahead([tmp_path / "pipe.gz", tmp_path])
    assert content._AHEAD == {}


@pytest.mark.parametrize("source", ["no such set", "", "\0", 3, ("x", "y")])
def test_begin_ignores_bad_sources(monkeypatch, source):
    monkeypatch.setattr(loading, "_READING", "not.imported")
    loading.prefetch(source)
    loading.prefetch(source, folder=7)
    assert content._AHEAD == {}


def test_begin_decompresses_the_files_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_READING", "not.imported")
    images = tmp_path / "train-images-idx3-ubyte.gz"
    images.write_bytes(ONE)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
    loading.prefetch(tmp_path)
    assert set(content._AHEAD) == {images}
    discard_ahead()
