"""Pictures that are decoded during training: splits and preparation as in memory, any batch at any time."""

from itertools import islice

import numpy as np
import pytest
from PIL import Image

import thalweg as tw
from tests.problem.data.given import refused
from thalweg.core import device
from thalweg.core.errors import DataError
from thalweg.problem.data import picture_stream
from thalweg.problem.data.files import picture_sizes

PER_CLASS = 40
SHAPE = (20, 16, 3)
SIZE = 20 * 16 * 3


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write two classes of pictures that differ in brightness, and three copies."""
    folder, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    for label, light in (("dark", 0), ("light", 100)):
        for i in range(PER_CLASS):
            write(folder / label / f"{i:02}.png", rng.integers(light, light + 156, SHAPE).astype(np.uint8))
    for i in range(3):
        content = (folder / "dark" / f"{i:02}.png").read_bytes()
        (folder / "dark" / f"copy-{i}.png").write_bytes(content)
    return folder


@pytest.fixture
def folder(made):
    return made


def load(path, **options):
    return tw.load(path, **{"stream": True} | options)


def epoch(data, size, start=0):
    """Return the batches of one pass over the training pictures."""
    split = data.train.in_batches(size)
    return list(islice(split.make(start), split.every))


def keys(pictures):
    return sorted(picture.tobytes() for picture in pictures)


def labels_of(split):
    return {x.tobytes(): int(y) for x, y in zip(split.inputs, split.targets, strict=True)}


def test_splits_notes_and_preparation_are_those_in_memory(folder):
    streamed, whole = load(folder), tw.load(folder)
    assert streamed.preparation.to_dict() == whole.preparation.to_dict()
    for split in ("validation", "test"):
        ours, theirs = streamed.splits[split], whole.splits[split]
        assert np.array_equal(ours.inputs, theirs.inputs) and np.array_equal(ours.targets, theirs.targets)
        assert np.array_equal(streamed.rows[split], whole.rows[split])
    assert np.array_equal(streamed.rows["train"], whole.rows["train"])
    added = [note.text for note in streamed.notes if note not in whole.notes]
    assert added == [
        f"The pictures are decoded during training, and not kept: 83 pictures, {whole.train.count()} of them "
        "for training, in an order drawn for each epoch."
    ]
    assert [note for note in streamed.notes if note.kind != "stream"] == list(whole.notes)


def test_grey_and_deep_pictures_too(tmp_path):
    rng = np.random.default_rng(1)
    for label in "ab":
        for i in range(12):
            write(tmp_path / label / f"{i}.png", rng.integers(0, 4096, (8, 8)).astype(np.uint16))
    streamed, whole = load(tmp_path), tw.load(tmp_path)
    assert streamed.preparation.to_dict() == whole.preparation.to_dict() and streamed.input_shape == (8, 8)
    assert np.array_equal(streamed.test.inputs, whole.test.inputs)


def test_an_epoch_has_every_training_picture_once_with_its_class(folder):
    data, whole = load(folder), tw.load(folder)
    count = whole.train.count()
    of = {
        picture.tobytes(): int(label)
        for picture, label in zip(whole.train.inputs, whole.train.targets, strict=True)
    }
    orders = []
    for number in (0, 1):
        rows = list(islice(data.train.reader.batches(1, number * count), count))
        assert keys(x[0] for x, _ in rows) == keys(whole.train.inputs)
        assert all(of[x[0].tobytes()] == y[0] for x, y in rows)
        orders.append([x.tobytes() for x, _ in rows])
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize("size", [1, 7, 64, 200])
def test_batches_can_start_anywhere_and_reach_into_the_next_epoch(folder, size):
    data = load(folder)
    one = list(islice(data.train.reader.batches(1, 0), 3 * max(size, 60)))
    flat = [x[0].tobytes() for x, _ in one]
    for start in (0, 1, 2):
        x, y = next(data.train.reader.batches(size, start))
        assert x.shape == (size, *SHAPE) and y.shape == (size,)
        expected = flat[start * size : (start + 1) * size]
        assert [picture.tobytes() for picture in x][: len(expected)] == expected


def test_a_run_stops_and_resumes_with_the_same_bits(folder, tmp_path):
    problem = lambda: tw.Problem(tw.MLP([SIZE, 8, 2]), load(folder))  # noqa: E731
    recipe = tw.Recipe(epochs=6, batch_size=16, seed=3)
    whole = tw.train(problem(), recipe, keep=tmp_path / "whole", progress=False)
    stream = tw.stream_train(problem(), recipe, keep=tw.SaveOptions(tmp_path / "cut", every="3"), every=3)
    for status in stream:
        if status.step >= 9:
            status.stop()
    assert stream.result().result["steps"] < whole.result["steps"]
    again = tw.resume(tmp_path / "cut", progress=False)
    assert again.result["test_loss"] == whole.result["test_loss"]
    weights = [(tmp_path / name / "final.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_lanes_of_a_sweep_share_the_stream_and_equal_single_runs(folder):
    problem = tw.Problem(tw.MLP([SIZE, 4, 2]), load(folder))
    rates = [tw.Recipe(tw.AdamW(rate), epochs=2, batch_size=16) for rate in (1e-3, 1e-2)]
    many = tw.train(problem, rates, progress=False)
    for rate, lane in zip(rates, many, strict=True):
        alone = tw.train(problem, rate, progress=False)
        assert lane.result["test_loss"] == alone.result["test_loss"]


def test_the_fingerprint_tells_other_pictures_and_other_labels(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_stream, "EXAMPLES", 2)  # the others are not among the arrays of the split
    first = load(folder).fingerprint
    assert load(folder).fingerprint == first
    other = tmp_path / "other"
    for path in folder.rglob("*.png"):
        target = other / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert load(other).fingerprint == first
    train = load(other).train.reader.contents[5]
    moved = train.read_bytes()
    array = np.asarray(Image.open(train)).copy()
    array[0, 0, 0] ^= 1
    write(train, array)
    assert load(other).fingerprint != first
    train.write_bytes(moved)
    assert load(other).fingerprint == first


def test_a_picture_that_changes_or_goes_ends_the_run(folder, tmp_path):
    for path in folder.rglob("*.png"):
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    data = load(tmp_path)
    victim = data.train.reader.contents[5]
    content = victim.read_bytes()
    write(victim, np.full(SHAPE, 7, np.uint8))
    with pytest.raises(DataError, match=r"(?s)as it was when.*another picture.*put the picture back"):
        epoch(data, 16)
    victim.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"every picture must be readable.*{victim.name}"):
        epoch(data, 16)
    victim.unlink()
    with pytest.raises(DataError, match="no regular file"):
        epoch(data, 16)
    victim.write_bytes(content)
    assert len(epoch(data, 16)) == -(-data.train.count() // 16)


def test_broken_pictures_are_found_before_training(folder, tmp_path):
    for path in folder.rglob("*.png"):
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    broken = tmp_path / "dark" / "07.png"
    broken.write_bytes(broken.read_bytes()[:150])  # its header is whole
    with refused("every picture must be readable", "1 of 83", "dark/07.png", "skip_broken"):
        load(tmp_path)
    data = load(tmp_path, skip_broken=True)
    assert data.train.count() + data.validation.count() + data.test.count() == 82
    assert "Left out: 1 picture that cannot be read" in data.notes[0].text


def test_own_splits_are_used(folder, tmp_path):
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        split = "test" if i % 4 == 0 or path.name == "copy-1.png" else "train"
        target = tmp_path / split / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    streamed, whole = load(tmp_path), tw.load(tmp_path)
    assert np.array_equal(streamed.test.inputs, whole.test.inputs)
    assert "also occur in training" in " ".join(note.text for note in streamed.notes)
    assert [note for note in streamed.notes if note.kind != "stream"] == list(whole.notes)


def test_held_out_pictures_beyond_the_limit_are_drawn(folder, monkeypatch):
    whole = load(folder)
    monkeypatch.setattr(picture_stream, "HELD_OUT_BYTES", 5 * SIZE)
    few = load(folder)
    assert few.test.count() == 5 < whole.test.count() and few.train.count() == whole.train.count()
    rows = {
        picture.tobytes(): label for picture, label in zip(whole.test.inputs, whole.test.targets, strict=True)
    }
    assert all(rows[x.tobytes()] == y for x, y in zip(few.test.inputs, few.test.targets, strict=True))
    number = {x.tobytes(): row for x, row in zip(whole.test.inputs, whole.rows["test"], strict=True)}
    assert few.rows["test"].tolist() == [number[x.tobytes()] for x in few.test.inputs]
    text = f"5 of {whole.test.count()} test pictures, drawn at random, are evaluated."
    assert text in [note.text for note in few.notes]


def test_pictures_that_do_not_fit_are_streamed_at_their_size(folder, monkeypatch):
    monkeypatch.setattr(device, "free_memory", lambda: 4 * 50 * SIZE)  # for 50 of 83
    monkeypatch.setattr(picture_stream, "AT_ONCE", 20)
    data = tw.load(folder)
    assert data.train.ends and data.input_shape == SHAPE
    assert data.source["options"]["stream"] is True
    (note,) = [note for note in data.notes if note.kind == "stream"]
    assert note.text.startswith("The pictures do not fit in memory at once.")
    assert note.change == "stream=False"
    reduced = tw.load(folder, stream=False)
    assert reduced.input_shape < SHAPE and hasattr(reduced.train, "inputs")
    # Folds need all pictures at once, so they are made small for them.
    assert tw.load(folder, folds=2).folds[0].input_shape == reduced.input_shape
    asked = tw.load(folder, size="24x20")
    assert asked.input_shape == (20, 24, 3) and asked.train.ends
    with refused("fit into a quarter of the free memory", "or use stream=True"):
        tw.load(folder, size="24x20", stream=False)
    monkeypatch.setattr(picture_stream, "AT_ONCE", 83)
    assert hasattr(tw.load(folder).train, "inputs")  # not even a batch fits: made small


def test_classes_are_weighed_as_in_memory(folder):
    streamed, whole = (
        tw.Problem("cnn:4", data, class_weight="balanced") for data in (load(folder), tw.load(folder))
    )
    assert streamed.loss.weights == whole.loss.weights and len(set(whole.loss.weights)) > 1


def test_what_cannot_be_streamed(folder):
    with refused("folds: needs all pictures in memory", "leave it out, or use stream=False"):
        load(folder, folds=3)
    with refused("weights: needs all pictures in memory"):
        load(folder, weights=np.ones(83))
    with refused("test: needs all pictures in memory"):
        load(folder, test=(np.zeros((2, *SHAPE), np.uint8), [0, 1]))
    with refused("stream is for tables", "digits"):
        load("digits")
    with refused("fit into a quarter of the free memory"):
        load(folder, size=60000)


def test_sizes_count_what_is_in_memory_at_once():
    header = picture_sizes.Header((8, 8), True, False, False, False)
    headers = dict.fromkeys(range(1000), header)
    assert picture_sizes._pixel_bytes(headers, None) == 3000 and picture_sizes._pixel_bytes(headers, 7) == 21
