import gzip
import struct

import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.files.binary_images import read_idx
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 9, 8)).astype(np.uint8)
LABELS = (np.arange(40) % 4).astype(np.uint8)


def idx(array, code=8):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def folder(tmp_path, packed=False, **changed):
    files = {
        "train-images-idx3-ubyte": idx(IMAGES),
        "train-labels-idx1-ubyte": idx(LABELS),
        "t10k-images-idx3-ubyte": idx(IMAGES[:10]),
        "t10k-labels-idx1-ubyte": idx(LABELS[:10]),
    } | {name.replace("_", "-"): content for name, content in changed.items()}
    for name, content in files.items():
        if content is not None:
            path = tmp_path / (name + ".gz" * packed)
            path.write_bytes(gzip.compress(content) if packed else content)
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_idx_files_is_read(tmp_path, packed):
    data = load(folder(tmp_path, packed), validation=0)
    assert np.array_equal(data.train.inputs, IMAGES) and np.array_equal(data.train.targets, LABELS)
    assert data.test.count() == 10 and data.input_shape == (9, 8)
    assert data.preparation.columns.kind == "image"
    assert "10 of 10 test rows" in data.notes[0].text


def test_without_a_test_pair_a_share_is_held_out(tmp_path):
    path = folder(tmp_path, t10k_images_idx3_ubyte=None, t10k_labels_idx1_ubyte=None)
    assert load(path).test.count() == 8


@pytest.mark.parametrize(
    ("code", "kind"), [(8, "u1"), (9, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_every_type_of_number_is_read(tmp_path, code, kind):
    path = tmp_path / "a-idx2"
    path.write_bytes(idx(np.array([[1, 2, 3], [4, 5, 127]], kind), code))
    array = read_idx(path)
    assert array.tolist() == [[1, 2, 3], [4, 5, 127]] and array.dtype == np.dtype(kind).newbyteorder("=")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_images_idx3_ubyte": idx(IMAGES)[:-5]}, ("must have 2896 bytes", "got 2891")),
        ({"train_images_idx3_ubyte": idx(IMAGES)[:9]}, ("at least 16 bytes", "got 9")),
        ({"train_labels_idx1_ubyte": b"PK\3\4zip"}, ("must start with 00 00", "50 4b 03 04")),
        ({"train_labels_idx1_ubyte": b""}, ("must start with 00 00", "an empty file")),
        ({"train_labels_idx1_ubyte": None}, ("must hold train-images", "fetch the missing file")),
        ({"t10k_labels_idx1_ubyte": None}, ("both t10k files or neither",)),
        ({"train_labels_idx1_ubyte": idx(LABELS[:-1])}, ("same number of rows", "40 and 39")),
        ({"t10k_labels_idx1_ubyte": idx(LABELS[:10] + 1)}, ("must occur in the train split", "[4]")),
    ],
)
def test_broken_folders_are_refused(tmp_path, changed, words):
    with refused(*words):
        load(folder(tmp_path, **changed))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((0, 0x83000000, 0xFFFFFFFF), "none of them empty"),  # nothing, in an array that NumPy cannot shape
        ((1 << 31, 1 << 31, 4), "bytes, as its header says"),  # the product of 64 bits comes round to nothing
        ((1,) * 65, "at most 32 axes"),
    ],
)
def test_sizes_that_no_array_has_are_refused(tmp_path, sizes, words):
    path = tmp_path / "a-idx3"
    path.write_bytes(bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes))
    with refused(words, who="idx"):
        read_idx(path)
