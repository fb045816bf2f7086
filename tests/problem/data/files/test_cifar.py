import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)


def batch(count, labels=None):
    records = RANDOM.integers(0, 256, (count, 3073)).astype(np.uint8)
    records[:, 0] = np.arange(count) % 10 if labels is None else labels
    return records


def test_batches_become_pictures_with_colours_last(tmp_path):
    one, two, test = batch(30), batch(20), batch(10)
    for name, records in (("data_batch_1.bin", one), ("data_batch_2.bin", two), ("test_batch.bin", test)):
        (tmp_path / name).write_bytes(records.tobytes())
    data = load(tmp_path, validation=0)
    assert data.input_shape == (32, 32, 3) and (data.train.count(), data.test.count()) == (50, 10)
    assert data.preparation.classes[:2] == ("airplane", "automobile")
    assert data.train.inputs[30, 0, :2, 0].tolist() == two[0, 1:3].tolist()  # first red bytes of file two
    assert data.train.inputs[0, 31, 31, 2] == one[0, -1]  # its last blue byte
    assert len(data.preparation.input_shift) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (batch(3).tobytes()[:-1], ("whole number of records of 3073 bytes", "9218 bytes")),
        (b"", ("whole number of records", "0 bytes")),
        (batch(20, labels=12).tobytes(), ("class numbers must lie in 0..9", "got 12", "20 of 20 rows")),
    ],
)
def test_broken_batches_are_refused(tmp_path, content, words):
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    with refused(*words):
        load(tmp_path)
