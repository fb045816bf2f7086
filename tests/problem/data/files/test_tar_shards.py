"""Pictures in tar archives: found by their headers alone, in any order, and nothing is unpacked."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

import thalweg as tw
from tests.problem.data.given import refused
from thalweg.core.errors import DataError
from thalweg.problem.data.files import tar_shards
from thalweg.problem.data.files.picture_files import PICTURES
from thalweg.problem.data.predict_inputs import read_new

RANDOM = np.random.default_rng(0)


def png(level=None):
    shape = (10, 12)
    array = RANDOM.integers(0, 256, shape, np.uint8) if level is None else np.full(shape, level, np.uint8)
    content = io.BytesIO()
    Image.fromarray(array).save(content, "PNG")
    return content.getvalue()


def archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def labelled(path, count=10, start=0):
    """Write pictures with labels as WebDataset has them: the level tells number and class."""
    files = {}
    for i in range(start, start + count):
        files |= {f"{i - start:04}.png": png(i), f"{i - start:04}.cls": b"odd\n" if i % 2 else b"even"}
    return archive(path, files)


def texts(data):
    return " ".join(note.text for note in data.notes)


def test_labels_of_their_own_are_the_classes(tmp_path):
    labelled(tmp_path / "set-000.tar")
    labelled(tmp_path / "set-001.tar", start=10)  # keys begin anew
    for source in (tmp_path, str(tmp_path / "*.tar"), [tmp_path / "set-000.tar", tmp_path / "set-001.tar"]):
        data = tw.load(source, test=0, validation=0)
        assert data.preparation.classes == ("even", "odd") and data.name == "set"
        levels, targets = data.train.inputs[:, 0, 0], np.asarray(data.train.targets)
        assert sorted(levels) == list(range(20)) and (levels % 2 == targets).all()
    assert "read from 2 tar archives" in texts(data) and "classes are those of the .cls files" in texts(data)
    one = tw.load(tmp_path / "set-000.tar", test=0, validation=0)
    assert sorted(one.train.inputs[:, 0, 0]) == list(range(10))


def test_folders_inside_are_classes_across_archives(tmp_path):
    first = {f"pets/{label}/{i}.png": png() for label in ("cat", "dog") for i in range(5)}
    archive(tmp_path / "a.tar", first | {"pets/._cat": b"junk", "__MACOSX/cat/1.png": b"junk"})
    archive(tmp_path / "b.tar", {f"pets/cat/{i}.png": png() for i in range(5, 9)} | {"pets/readme.md": b"x"})
    data = tw.load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == ("cat", "dog")
    assert np.bincount(data.train.targets).tolist() == [9, 5]
    streamed = tw.load(tmp_path, stream=True)
    assert np.array_equal(streamed.test.inputs, tw.load(tmp_path).test.inputs)


def test_names_of_archives_tell_the_splits(tmp_path):
    for name, count, start in (
        ("train-00", 10, 0),
        ("train-01", 10, 10),
        ("val-00", 4, 20),
        ("test-00", 6, 30),
    ):
        labelled(tmp_path / f"{name}.tar", count, start)
    data = tw.load(tmp_path)
    levels = {split: sorted(rows.inputs[:, 0, 0].tolist()) for split, rows in data.splits.items()}
    assert levels == {"train": [*range(20)], "validation": [*range(20, 24)], "test": [*range(30, 36)]}
    assert "names of the archives tell the splits" in texts(data)


def test_new_pictures_have_the_names_and_the_order_of_the_archive(tmp_path):
    data = tw.load(labelled(tmp_path / "set.tar"), test=0, validation=0)
    new = read_new(str(tmp_path / "set.tar"), data.preparation)
    assert new.files == [f"{i:04}.png" for i in range(10)]
    assert new.raw[:, 0, 0].tolist() == list(range(10)) and new.labels.tolist() == [0, 1] * 5
    labelled(tmp_path / "more.tar", 2, 50)
    both = read_new([str(tmp_path / "more.tar"), str(tmp_path / "set.tar")], data.preparation)
    assert both.files[:3] == ["more.tar/0000.png", "more.tar/0001.png", "set.tar/0000.png"]
    archive(tmp_path / "plain.tar", {"x.png": png()})
    assert read_new(tmp_path / "plain.tar", data.preparation).labels is None


def test_pictures_are_in_the_natural_order_of_their_names(tmp_path):
    files = {f"{label}/{i}.png": png(i) for i in (10, 2, 1, 30, 9) for label in ("cat", "dog")}
    data = tw.load(archive(tmp_path / "set.tar", files), test=0, validation=0)
    assert data.train.inputs[:, 0, 0].tolist() == [1, 2, 9, 10, 30] * 2


def test_an_archive_that_is_cut_while_it_is_read_is_noticed(tmp_path):
    path = labelled(tmp_path / "set.tar")
    last = [*tar_shards.index(tar_shards.Shards((path,), "set"), PICTURES).members.values()][-1]
    assert len(last.read()) == last.size
    path.write_bytes(path.read_bytes()[: last.start + 7])
    with pytest.raises(OSError, match="ends in the middle"):
        last.read()


def test_what_is_no_archive_of_pictures_is_refused(tmp_path):
    whole = labelled(tmp_path / "set.tar")
    content = whole.read_bytes()
    for size, words in ((5000, "unexpected end"), (5120, "cut short"), (100, "truncated header")):
        (tmp_path / "cut.tar").write_bytes(content[:size])
        with refused("the archive must be readable", words, "cut.tar"):
            tw.load(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(b"")
    with refused("the archive must be readable", "empty file"):
        tw.load(tmp_path / "cut.tar")
    (tmp_path / "set.tar.gz").write_bytes(b"\x1f\x8b")
    with refused("must not be compressed as a whole", "gunzip"):
        tw.load(tmp_path / "set.tar.gz")
    with refused("must hold PNG"):
        tw.load(archive(tmp_path / "texts.tar", {"a/1.txt": b"1", "b/2.txt": b"2"}))
    with refused("every file must exist", "did you mean", "set.tar"):
        tw.load([tmp_path / "sett.tar"])
    with refused("archives and other files must not be mixed", "a.csv"):
        (tmp_path / "a.csv").write_text("x,y\n1,2\n")
        tw.load([whole, tmp_path / "a.csv"])
    with refused("every archive must be given once"):
        tw.load([whole, whole])
    with refused("target is for tables", "the class of an image is the name of its folder"):
        tw.load(whole, target="y")
    with refused("window is for time series"):
        tw.load(whole, window=3)


def test_labels_that_are_missing_or_none_are_refused(tmp_path):
    files = {"0.png": png(), "0.cls": b"a", "1.png": png(), "1.cls": b"b", "2.png": png()}
    with refused("every picture must have a label, or none", "1 of 3 without a .cls file"):
        tw.load(archive(tmp_path / "some.tar", files))
    for label in (b"", b"../x", b"..", b"\xff", b"a\x1b[31m", b"x" * 2000):
        bad = {"0.png": png(), "0.cls": label, "1.png": png(), "1.cls": b"b"}
        with refused("a .cls file must hold a number or a name", "0.cls"):
            tw.load(archive(tmp_path / "bad.tar", bad))
    archive(tmp_path / "x" / "a.tar", {"cat/1.png": png(), "dog/1.png": png()})
    archive(tmp_path / "x" / "b.tar", {"cat/1.png": png(), "dog/2.png": png()})
    with refused("every picture must have a path of its own", "cat/1.png in a.tar and in b.tar"):
        tw.load(tmp_path / "x")


def test_a_hostile_archive_opens_nothing_and_takes_no_memory(tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(1))
    path = tmp_path / "h.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("cat/link.png", tarfile.SYMTYPE), ("dog/hard.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(outside)
            tar.addfile(info)
        for i, name in enumerate(("../../cat/1.png", "/dog/2.png", "a/" * 300 + "cat/3.png", "dog/4.png")):
            info = tarfile.TarInfo(name)
            content = png(10 + i)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    members = tar_shards.index(tar_shards.Shards((path,), "h"), PICTURES).members
    assert len(members) == 4 and all(str(place).startswith(str(tmp_path)) for place in members)
    assert all(".." not in place.parts for place in members)
    info = tarfile.TarInfo("x" * 300)
    huge = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    huge[124:136] = b"77777777777\0"  # a long name of 8 GB
    _seal(huge)
    path.write_bytes(bytes(huge) + b"\0" * 4096)
    with refused("the archive must be readable", "a header of"):
        tw.load(path)
    info = tarfile.TarInfo("cat/1.png")
    info.size = 1 << 40
    path.write_bytes(info.tobuf() + b"\0" * 4096)
    with refused("the archive must be readable"):
        tw.load(path)


@pytest.mark.parametrize("kind", [b"0", b"Z"])
def test_a_negative_size_does_not_lead_back(tmp_path, kind):
    info = tarfile.TarInfo("cat/1.png")
    info.type = kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024, in base 256
    _seal(header)
    (tmp_path / "n.tar").write_bytes(
        archive(tmp_path / "x.tar", {"a.txt": b"1"}).read_bytes()[:1024] + header
    )
    with refused("the archive must be readable", "has -1024 bytes"):
        tw.load(tmp_path / "n.tar")


def _seal(header):
    """Write the checksum of the first header of an archive."""
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()


def test_a_run_of_archives_resumes_where_they_have_moved(tmp_path):
    labelled(tmp_path / "old" / "set.tar", 40)
    problem = tw.Problem(tw.MLP([120, 4, 2]), tw.load(tmp_path / "old" / "set.tar", stream=True))
    recipe = tw.Recipe(epochs=4, batch_size=8)
    whole = tw.train(problem, recipe, progress=False)
    stream = tw.stream_train(problem, recipe, keep=tw.SaveOptions(tmp_path / "run", every="4"), every=4)
    for status in stream:
        if status.step >= 8:
            status.stop()
    stream.result()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "set.tar").rename(tmp_path / "new" / "set.tar")
    with pytest.raises(DataError, match=r"set\.tar"):
        tw.resume(tmp_path / "run", progress=False)
    again = tw.resume(tmp_path / "run", data=tmp_path / "new" / "set.tar", progress=False)
    assert again.result["test_loss"] == whole.result["test_loss"]
