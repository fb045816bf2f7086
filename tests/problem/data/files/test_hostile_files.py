"""Files that hang, or that take far more memory than disk: refused before the memory is taken."""

import gzip
import io
import os
import tracemalloc
import zipfile
import zlib

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.problem.data.given import refused
from thalweg.core.limits import VARIABLE
from thalweg.core.parquet import TooMuch, read_parquet
from thalweg.problem.data.files.content import decompress_ahead, discard_ahead, read_bytes
from thalweg.problem.data.load import load

LIMIT = 4 << 20


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(LIMIT))


def taken(read, *arguments, **settings):
    """Return the most memory that Python and NumPy took in a call that is refused."""
    tracemalloc.start()
    try:
        with refused("may take at most 4.194 MB of memory", f"{VARIABLE}="):
            read(*arguments, **settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x.npy", "x.npz", "x.parquet", "x.csv.gz"])
def test_a_pipe_is_not_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with refused("must be readable; got a pipe where a file belongs", "saved to one first"):
        load(tmp_path / name, **({} if name == "x.npz" else {"target": 0}))


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.parquet", "x.csv.gz"])
def test_a_sparse_file_is_not_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(900 << 30)
    settings = {} if name == "x.npz" else {"target": 0, "stream": False}
    assert taken(load, tmp_path / name, **settings) < LIMIT


@pytest.mark.parametrize(("name", "rule"), [("x.csv", "must hold rows"), ("x.parquet", "must be readable")])
def test_a_sparse_file_is_not_streamed(tmp_path, name, rule):
    with (tmp_path / name).open("wb") as file:
        file.truncate(900 << 30)
    tracemalloc.start()
    with refused(rule):
        load(tmp_path / name, target=0)
    assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    tracemalloc.stop()


@pytest.mark.parametrize("members", [1, 2])
def test_gzip_is_unpacked_up_to_the_limit(tmp_path, members):
    packed = gzip.compress(b"a,b\n" * (8 << 20), 1)  # 32 MB
    (tmp_path / "x.csv.gz").write_bytes(packed * members)
    assert taken(load, tmp_path / "x.csv.gz", target="a") < 2 * LIMIT
    decompress_ahead([tmp_path / "x.csv.gz"])
    assert taken(load, tmp_path / "x.csv.gz", target="a") < 2 * LIMIT
    discard_ahead()


def test_a_gzip_file_within_the_limit_is_read_whole(tmp_path):
    content = os.urandom(700_000) * 5  # several pieces
    (tmp_path / "x.gz").write_bytes(gzip.compress(content, 1))
    assert read_bytes(tmp_path / "x.gz") == content


def test_npz_is_unpacked_up_to_the_limit(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((4 << 20, 2), np.float32), y=np.zeros(4 << 20))
    assert taken(load, tmp_path / "x.npz") < LIMIT


def test_an_npz_entry_ends_where_it_says(tmp_path):
    """The header of an entry claims 1,000 bytes; it would unpack to 64 MB."""
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(64 << 20))
    path.write_bytes(
        path.read_bytes().replace((64 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    )
    tracemalloc.start()
    with refused("the file must be whole"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(10**15, 3), (2**62, 2**62), (3, 10**9)])
def test_the_shape_of_an_array_is_compared_with_its_bytes(tmp_path, shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    (tmp_path / "x.npy").write_bytes(file.getvalue() + bytes(24))
    with refused("the file must be whole", "24 bytes of numbers instead of"):
        load(tmp_path / "x.npy", target=0)


def test_arrays_are_read_in_both_orders(tmp_path):
    array = np.arange(12.0).reshape(6, 2)
    np.savez(tmp_path / "c.npz", x=array, y=np.arange(6) % 2)
    np.savez(tmp_path / "f.npz", x=np.asfortranarray(array), y=np.arange(6) % 2)
    assert load(tmp_path / "c.npz").fingerprint == load(tmp_path / "f.npz").fingerprint


def test_a_table_of_equal_values_is_counted_as_it_unpacks(tmp_path):
    content = io.BytesIO()
    pl.DataFrame({"a": ["x" * 1000] * 100_000, "b": [1] * 100_000}).write_parquet(content)
    assert len(content.getvalue()) < 10_000  # of 100 MB
    with pytest.raises(TooMuch):
        read_parquet(content.getvalue(), LIMIT)
    (tmp_path / "x.parquet").write_bytes(content.getvalue())
    assert taken(load, tmp_path / "x.parquet", target="b") < LIMIT


def test_a_text_is_counted_with_its_cells(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 100_000)  # 400 kB
    assert taken(load, tmp_path / "x.csv", target="b", stream=False) < LIMIT


def test_lines_are_counted_as_long_as_the_longest(tmp_path):
    (tmp_path / "x.txt").write_text("short\n" * 4000 + "x" * 40_000)
    with refused("may take at most 4.194 MB of memory", "padded to the longest line"):
        load(tmp_path / "x.txt", lines=True)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(4):
            Image.new("L", (8, 8), number * 9).save(tmp_path / label / f"{number}.png")
    Image.new("1", (2000, 2000)).save(tmp_path / "a" / "9.png")
    with refused("every picture must be readable", "2000 x 2000 pixels take more than 4.194 MB"):
        load(tmp_path)
    path, sides = tmp_path / "a" / "9.png", (20_000).to_bytes(4, "big") * 2
    content = path.read_bytes()
    header = b"IHDR" + sides + content[24:29]
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    with refused("every picture must be readable", "more than 178,956,970 pixels"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"%", b"!,", b"#", b"\n\n"])
def test_a_table_without_rows_is_refused(content, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with refused("the file must hold rows"):
        load(tmp_path / "t.csv", target="label")
