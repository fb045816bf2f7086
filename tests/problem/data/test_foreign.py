"""Data of other libraries: stand-ins with the same protocol, and the packages where installed."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

import thalweg as tw
from thalweg.core.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = np.arange(60) % 3
FRAME = pl.DataFrame({"a": X[:, 0], "b": ["x", "y", "z"] * 20, "label": Y})


class ClassLabel:
    names = ("cat", "dog", "owl")


class HuggingFace:
    """A Hugging Face data set, as far as it is used."""

    def __init__(self, frame, features=None):
        self.frame, self.features = frame, features or {}
        self.column_names = frame.columns

    def __len__(self):
        return self.frame.height

    def with_format(self, kind):
        assert kind == "arrow"
        return self

    def __getitem__(self, key):
        return self.frame.to_arrow()[key] if isinstance(key, slice) else self.frame[key].to_list()


class TorchDataset:
    """A PyTorch data set: an example by its index."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], int(Y[index])


class Loader:
    """A PyTorch loader: batches of a data set."""

    dataset, batch_size = TorchDataset(), 16

    def __iter__(self):
        for at in range(0, len(X), self.batch_size):
            yield [X[at : at + self.batch_size], Y[at : at + self.batch_size]]


class TfData:
    """A `tf.data.Dataset`."""

    def __init__(self, items):
        self.items = items

    def as_numpy_iterator(self):
        return iter(self.items)


def batches(size=25):
    return ((X[at : at + size], Y[at : at + size]) for at in range(0, len(X), size))


def train(data):
    return np.asarray(data.train.inputs), np.asarray(data.train.targets)


ALL = {"test": 0.0, "validation": 0.0}


@pytest.mark.parametrize(
    "source",
    [
        TorchDataset(),
        Loader(),
        TfData(list(batches())),
        TfData(list(zip(X, Y, strict=True))),
        batches(),
        list(batches(30)),
        [{"x": x, "label": y} for x, y in batches(20)],
    ],
    ids=["dataset", "loader", "tf batches", "tf examples", "generator", "list", "dictionaries"],
)
def test_items_are_read_as_arrays_are(source):
    assert all(map(np.array_equal, train(tw.load(source, **ALL)), train(tw.load((X, Y), **ALL))))


@pytest.mark.parametrize(
    "source",
    [
        FRAME.to_arrow(),
        FRAME.to_arrow().to_reader(),
        HuggingFace(FRAME),
        FRAME.lazy(),
        FRAME.to_dicts(),
        iter(FRAME.to_dicts()),
        (part.to_dict(as_series=False) for part in FRAME.iter_slices(25)),
    ],
    ids=["arrow", "reader", "hugging face", "lazy", "rows", "iterator of rows", "batches of columns"],
)
def test_tables_are_read_as_frames_are(source):
    expected = tw.load(FRAME, target="label", **ALL)
    data = tw.load(source, target="label", **ALL)
    assert all(map(np.array_equal, train(data), train(expected)))


def test_classes_have_their_names_and_own_splits_are_used():
    features = {"label": ClassLabel()}
    sets = {"train": HuggingFace(FRAME, features), "test": HuggingFace(FRAME[:15], features)}
    data = tw.load(sets | {"validation": HuggingFace(FRAME, features)})
    assert data.preparation.classes == ("cat", "dog", "owl") and data.preparation.target == "label"
    assert data.test.count() == 15
    assert any("not used: the split validation" in note.text for note in data.notes)
    with pytest.raises(DataError, match="split called train"):
        tw.load({"all": HuggingFace(FRAME)})


def test_runs_train_on_them_and_predict_from_them(tmp_path):
    run = tw.fit(TorchDataset(), "mlp:4", epochs=3, keep=tmp_path / "run", progress=False, references=False)
    assert run.result["epochs"] == 3  # a source that can be read once serves all epochs
    again = tw.restore(tmp_path / "run").predict(Loader())
    assert np.array_equal(again["prediction"], tw.restore(tmp_path / "run").predict(X)["prediction"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (iter(()), "only once"),
        (iter([(X, Y), (X[:, :2], Y)]), "item 1"),
        (iter([(X, Y, Y), (X, Y, Y)]), "got 3 values"),
        (iter([{"a": X, "b": Y}]), "must have the target"),
        (iter([{"a": 1, "y": 2}, {"a": 1}]), "item 1"),
        (iter([{"a": [1, 2], "y": [2]}]), "one length"),
        (iter([{"a": 1, "y": 2}, {"a": "x", "y": 2}]), "one type"),
        (iter([object()]), "got object"),
    ],
)
def test_what_cannot_be_read_is_refused(source, words):
    with pytest.raises(DataError, match=words):
        tw.load(source)


def test_a_generator_that_is_used_up():
    used = batches()
    tw.load(used)
    with pytest.raises(DataError, match="only once"):
        tw.load(used)
    data = tw.stream(((x, y) for x, y in batches(20)), classes=3)
    problem = tw.Problem(tw.MLP([3, 4, 3]), data)
    with pytest.raises(DataError, match="its end before batch 3"):
        tw.train(problem, tw.Recipe(tw.AdamW(), batch_size=20, steps=10), progress=False)


def test_what_does_not_fit_in_memory_is_for_streams(monkeypatch):
    monkeypatch.setenv("THALWEG_MAX_BYTES", "1000")
    for source in (batches(), iter(FRAME.to_dicts())):
        with pytest.raises(DataError, match=r"tw\.stream"):
            tw.load(source)


def test_hugging_face_itself():
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets are not installed")
    features = datasets.Features(
        {
            "a": datasets.Value("float32"),
            "b": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["p", "q", "r"]),
        }
    )
    source = datasets.Dataset.from_dict(FRAME.to_dict(as_series=False), features=features)
    data = tw.load(source.shuffle(seed=1).select(range(50)))
    assert data.preparation.classes == ("p", "q", "r")
    assert sum(split.count() for split in data.splits.values()) == 50
    both = tw.load(source.train_test_split(0.25, seed=0))
    assert both.test.count() == 15
    pictures = [Image.fromarray(np.full((4, 4), i * 4, np.uint8)) for i in range(60)]
    with_image = datasets.Dataset.from_dict({"image": pictures, "label": Y.tolist()})
    assert tw.load(with_image).input_shape[:2] == (4, 4)
    assert tw.load(source.to_iterable_dataset(), target="label").train.count() > 30


def test_pytorch_itself():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    expected = train(tw.load((X, Y), **ALL))
    for source in (dataset, torch.utils.data.DataLoader(dataset, batch_size=7)):
        assert all(map(np.array_equal, train(tw.load(source, **ALL)), expected))
    data = tw.load(torch.utils.data.DataLoader(dataset, batch_size=7, shuffle=True))
    assert any("the loader shuffles" in note.text for note in data.notes)
    needs = [(torch.ones(2, 3, requires_grad=True), torch.zeros(2))]
    with pytest.raises(DataError, match="must consist of arrays"):
        tw.load(iter(needs))


def test_arrow_batches():
    reader = pa.RecordBatchReader.from_batches(
        FRAME.to_arrow().schema, FRAME.to_arrow().to_batches(max_chunksize=7)
    )
    assert tw.load(reader, target="label").train.count() > 30
