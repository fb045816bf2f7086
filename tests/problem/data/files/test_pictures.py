import numpy as np
import pytest
from PIL import Image

from tests.problem.data.given import refused
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)


def picture(path, size=(10, 12), colour=False, ending=".png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if colour else size
    array = RANDOM.integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(array).save(path.with_suffix(ending))
    return array


def classes(folder, count=10, **kwargs):
    return {
        label: [picture(folder / label / f"{i:02}", **kwargs) for i in range(count)]
        for label in ("cat", "dog")
    }


def test_subfolders_are_classes(tmp_path):
    made = classes(tmp_path)
    data = load(tmp_path, validation=0, test=0)
    assert data.preparation.classes == ("cat", "dog") and data.input_shape == (10, 12)
    assert np.array_equal(data.train.inputs, made["cat"] + made["dog"])
    assert data.train.targets.tolist() == [0] * 10 + [1] * 10


def test_train_and_test_subfolders(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "test", count=3)
    data = load(tmp_path)
    assert (data.train.count(), data.validation.count(), data.test.count()) == (18, 2, 6)


def test_jpeg_and_colour(tmp_path):
    classes(tmp_path, colour=True, ending=".jpg")
    assert load(tmp_path).input_shape == (10, 12, 3)


def test_grey_among_coloured_pictures_becomes_colour(tmp_path):
    classes(tmp_path, colour=True)
    grey = picture(tmp_path / "cat" / "00")
    data = load(tmp_path, test=0, validation=0)
    assert np.array_equal(data.train.inputs[0], np.repeat(grey[:, :, None], 3, axis=2))


def test_other_sizes_are_resized_to_the_most_common_one(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "dog" / "00", size=(20, 24))
    data = load(tmp_path)
    assert data.input_shape == (10, 12)
    assert "1 of 20 pictures were resized to the most common size, 12x10" in data.notes[0].text


def test_sixteen_bits_keep_their_upper_byte(tmp_path):
    classes(tmp_path)
    wide = RANDOM.integers(0, 65536, (10, 12)).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "cat" / "00.png")
    data = load(tmp_path, test=0, validation=0)
    assert np.array_equal(data.train.inputs[0], wide >> 8)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    with refused("at least two subfolders", "0 subfolders", str(tmp_path)):
        load(tmp_path)


def test_one_class_is_refused(tmp_path):
    picture(tmp_path / "cat" / "00")
    with refused("at least two subfolders", "1 subfolders"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_damaged_picture_is_refused(tmp_path, content):
    classes(tmp_path)
    (tmp_path / "dog" / "99.png").write_bytes(content)
    with refused("every picture must be readable", "99.png"):
        load(tmp_path)


def test_a_truncated_picture_is_refused(tmp_path):
    classes(tmp_path)
    path = tmp_path / "dog" / "05.png"
    path.write_bytes(path.read_bytes()[:90])
    with refused("every picture must be readable", "05.png"):
        load(tmp_path)


def test_a_class_that_training_lacks_is_refused(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "test", count=1)
    picture(tmp_path / "test" / "horse" / "00")
    with refused("every class of the test split must occur in training", "horse"):
        load(tmp_path)
