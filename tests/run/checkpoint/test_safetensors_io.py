"""Arrays of checkpoints: readable by other programs, and read only if they are exactly as described."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.safetensors_io import decode, describe_arrays, encode

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flags": np.array([True, False, True]),
    "count": np.array(7, np.int64),
    "nothing": np.zeros((0, 4), np.float16),
    "key": np.array([2**32 - 1, 1], np.uint32),
    "not a number": np.array([np.nan, -np.inf, -0.0]),
    "naïve.name": np.ones(2, np.uint8),
}
ONE = {"a": {"dtype": "F32", "shape": [1]}}


def content_of(arrays):
    return b"".join(encode(arrays))


def with_header(header, body=b""):
    return len(header).to_bytes(8, "little") + header + body


def assert_reads_back(arrays):
    result = decode(content_of(arrays), describe_arrays(arrays), "here")
    assert list(result) == list(arrays)
    for name, array in arrays.items():
        assert (result[name].dtype, result[name].shape) == (array.dtype, array.shape)
        assert result[name].tobytes() == array.tobytes()


def test_arrays_read_back_bit_for_bit():
    assert_reads_back(ARRAYS)
    assert_reads_back({"half": np.array([1.5, -2], ml_dtypes.bfloat16)})


def test_arrays_are_read_without_a_copy():
    content = content_of(ARRAYS)
    weight = decode(content, describe_arrays(ARRAYS), "here")["weight"]
    assert np.shares_memory(weight, np.frombuffer(content, np.uint8))


def test_other_readers_of_the_format_read_the_file():
    arrays = safetensors.numpy.load(content_of(ARRAYS))
    assert set(arrays) == set(ARRAYS)
    assert all(arrays[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)


def test_arrays_begin_at_a_multiple_of_eight_bytes():
    for length in range(1, 9):
        content = content_of({"a" * length: np.arange(3.0)})
        assert (8 + int.from_bytes(content[:8], "little")) % 8 == 0


def test_arrays_of_any_memory_layout_are_written_by_value():
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = {"t": wide.T, "s": wide[:, ::2]}
    assert content_of(arrays) == content_of({name: array.copy("C") for name, array in arrays.items()})
    assert_reads_back(arrays)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,4000000000000000]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
        b'{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"[]",
        b"{",
        b"[" * 100_000,
    ],
)
def test_a_header_other_than_the_described_one_is_refused(header):
    with pytest.raises(RunFolderError, match="another header"):
        decode(with_header(header, b"\0" * 4), ONE, "here")


def test_a_truncated_or_longer_file_is_refused():
    content = content_of({"a": np.ones(1, np.float32)})
    for length in range(len(content)):
        with pytest.raises(RunFolderError, match=r"another header|bytes instead of"):
            decode(content[:length], ONE, "here")
    with pytest.raises(RunFolderError, match="bytes instead of"):
        decode(content + b"\0", ONE, "here")


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "F32",
        ["F32", [1]],
        {"dtype": "F32"},
        {"dtype": "object", "shape": [1]},
        {"dtype": ["F32"], "shape": [1]},
        {"dtype": "F32", "shape": [-1]},
        {"dtype": "F32", "shape": [True]},
        {"dtype": "F32", "shape": [1.0]},
        {"dtype": "F32", "shape": {"1": 1}},
        {"dtype": "F32", "shape": [0, 2**62]},
        {"dtype": "F32", "shape": [1] * 33},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    ],
)
def test_a_description_of_no_array_is_refused(entry):
    with pytest.raises(RunFolderError, match="must be exactly what its manifest describes"):
        decode(content_of({"a": np.ones(1, np.float32)}), {"a": entry}, "here")


def test_an_array_of_a_dtype_that_the_format_does_not_have_is_a_type_error():
    with pytest.raises(TypeError, match="the format has no"):
        describe_arrays({"a": np.array(["text"])})
