"""Arrays on disk: what other readers of safetensors read, and nothing that is not there."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.safetensors_io import decoded, described, encoded

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flags": np.array([True, False, True]),
    "count": np.array(7, np.int64),
    "nothing": np.zeros((0, 4), np.float16),
    "key": np.array([2**32 - 1, 1], np.uint32),
    "not a number": np.array([np.nan, -np.inf, -0.0]),
    "naïve.name": np.ones(2, np.uint8),
}


def written(arrays):
    return b"".join(encoded(arrays))


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_what_is_written_reads_back_bit_for_bit():
    assert_same(decoded(written(ARRAYS), "here"), ARRAYS)
    narrow = {"half": np.array([1.5, -2], ml_dtypes.bfloat16)}
    assert_same(decoded(written(narrow), "here"), narrow)


def test_other_readers_of_the_format_read_it_and_it_reads_theirs():
    theirs = safetensors.numpy.load(written(ARRAYS))
    assert set(theirs) == set(ARRAYS)
    assert all(theirs[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)
    plain = {name: array for name, array in ARRAYS.items() if name != "not a number"}
    ours = decoded(safetensors.numpy.save(plain, metadata={"a": "b"}), "here")
    assert all(ours[name].tobytes() == plain[name].tobytes() for name in plain)


def test_arrays_of_any_layout_are_written_by_value():
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert_same(
        decoded(written({"t": wide.T, "s": wide[:, ::2]}), ""), {"t": wide.T.copy(), "s": wide[:, ::2].copy()}
    )


@pytest.mark.parametrize(
    ("header", "body", "rule"),
    [
        (
            '{"a":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,4000000000000000]}}',
            b"",
            "places",
        ),
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"\0" * 4, "places"),
        ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"\0" * 8, "places"),
        ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 8, "fill the file"),
        ('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"\0" * 4, "an entry"),
        ('{"a":{"dtype":"object","shape":[1],"data_offsets":[0,8]}}', b"\0" * 8, "an entry"),
        ('{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', b"\0" * 4, "an entry"),
        ("[]", b"", "an object"),
        ("{", b"", "JSON"),
        ("[" * 100_000, b"", "JSON"),
    ],
)
def test_a_header_that_claims_what_is_not_there_is_refused(header, body, rule):
    text = header.encode()
    with pytest.raises(RunFolderError, match=rule):
        decoded(len(text).to_bytes(8, "little") + text + body, "here")


def test_a_length_beyond_the_file_is_refused():
    for content in (b"", b"1234567", (2**63).to_bytes(8, "little"), (10).to_bytes(8, "little") + b"{}"):
        with pytest.raises(RunFolderError, match="within the file"):
            decoded(content, "here")


def test_an_array_that_the_format_does_not_know_is_a_bug_of_ours():
    with pytest.raises(TypeError, match="the format has no"):
        described({"a": np.array(["text"])})
