import json
import os
import resource
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.problem.data.given import csv, refused
from thalweg.core import device
from thalweg.core.caller import command_line
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import inputs_for, read_new
from thalweg.problem.data.preparation import Preparation

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


def saved(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def texts(data):
    return " ".join(note.text for note in data.notes)


def stored(data):
    """Return the preparation as it is read from a run folder."""
    return Preparation.from_dict(json.loads(json.dumps(data.preparation.to_dict())))


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


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_than_eight_bits_among_pictures_of_eight_keep_black_and_white(tmp_path, bits):
    classes(tmp_path)
    wide = RANDOM.integers(0, 2**bits, (10, 12)).astype(np.uint16)
    wide[0, 0] = 2**bits - 1
    Image.fromarray(wide).save(tmp_path / "cat" / "00.png")
    data = load(tmp_path, test=0, validation=0)
    assert np.array_equal(data.train.inputs[0], np.rint(wide / (2**bits - 1) * 255))
    assert f"Brightness 0..{2**bits - 1} of 1 picture with more than 8 bits became 0..255." in texts(data)


def test_more_than_eight_bits_keep_the_contrast_of_the_training_pictures(tmp_path):
    """Pictures of 12 bits in files of 16, the train split from 500 to 4000; a new file is scaled alike."""
    for i, label in enumerate("aaaabbbb"):
        wide = np.linspace(500, 4000, 120).reshape(10, 12).astype(np.uint16) + 0
        wide[5, 5] = 600 + i
        saved(Image.fromarray(wide), tmp_path / label / f"{i}.png")
    data = load(tmp_path, test=0, validation=0)
    assert data.train.inputs.min() == 0 and data.train.inputs.max() == 255
    again = inputs_for(tmp_path / "a" / "0.png", stored(data))
    assert np.array_equal(again[0], data.train.inputs[0])
    brighter = np.full((10, 12), 60000, np.uint16)
    saved(Image.fromarray(brighter), tmp_path / "new.png")
    with refused("far outside 500..4000 of training", "new.png"):
        inputs_for(tmp_path / "new.png", stored(data))


def test_more_than_eight_bits_are_refused_where_training_had_none(tmp_path):
    classes(tmp_path / "train")
    saved(Image.fromarray(np.full((10, 12), 4000, np.uint16)), tmp_path / "new.png")
    with refused("more than 8 bits, which no picture of training had"):
        inputs_for(tmp_path / "new.png", stored(load(tmp_path / "train")))


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    with refused("at least two subfolders", "0 subfolders", str(tmp_path)):
        load(tmp_path)


def test_one_class_is_refused(tmp_path):
    picture(tmp_path / "cat" / "00")
    with refused("at least two subfolders", "1 subfolder with"):
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


# Layouts


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Training", None, "Testing"),
        ("TRAIN", "Val", "test"),
        ("train", "validation", "test"),
        ("train", "valid", "holdout"),
        ("training_set", "dev", "test_set"),
        ("seg_train/seg_train", None, "seg_test/seg_test"),
        ("images/train2017", "images/val2017", None),
    ],
)
def test_names_of_splits(tmp_path, train, validation, test):
    counts = {"train": (train, 8), "validation": (validation, 3), "test": (test, 2)}
    for folder, count in counts.values():
        if folder is not None:
            classes(tmp_path / folder, count)
    data = load(tmp_path, **({} if test else {"test": 0}), **({} if validation else {"validation": 0}))
    expected = {split: 2 * count for split, (folder, count) in counts.items() if folder is not None}
    assert {name: split.count() for name, split in data.splits.items()} == expected
    assert data.preparation.classes == ("cat", "dog")


def test_an_own_validation_split_is_not_taken_on_top_and_can_be_declined(tmp_path):
    for split, count in (("train", 20), ("val", 4)):
        classes(tmp_path / split, count)
    data = load(tmp_path)
    assert {name: split.count() for name, split in data.splits.items()} == {
        "train": 32,
        "validation": 8,
        "test": 8,
    }
    changes = {note.kind: note.change for note in data.notes}
    assert changes["validation"] == "validation=0" and changes["test"] == "test=0"
    with command_line():
        declined = load(tmp_path, validation=0, test=0)
        assert "was not used, because of --validation 0" in texts(declined)
    assert declined.validation is None and declined.train.count() == 40


def test_copies_between_splits_are_noted(tmp_path):
    array = classes(tmp_path / "train")["cat"][0]
    for split in ("val", "test"):
        classes(tmp_path / split, 3)
        Image.fromarray(array).save(tmp_path / split / "cat" / "copy.png")
    words = texts(load(tmp_path))
    assert "1 of 7 validation rows also occur in training" in words
    assert "1 of 7 test rows also occur in training" in words


def test_a_split_folder_next_to_class_folders_is_asked_about(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path)
    with refused("splits and classes must not lie next to each other", "train next to cat, dog"):
        load(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    for label in ("bus", "car", "train"):
        for i in range(3):
            picture(tmp_path / label / str(i))
    data = load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == ("bus", "car", "train")
    assert "The folder train was read as a class" in texts(data)


def test_a_split_without_training_or_twice_is_refused(tmp_path):
    classes(tmp_path / "a" / "test")
    classes(tmp_path / "a" / "val")
    with refused("there must be one for training", "test, val"):
        load(tmp_path / "a")
    for name in ("train", "Training"):
        classes(tmp_path / "b" / name)
    with refused("only one folder can be the train split", "train", "Training"):
        load(tmp_path / "b")


def test_a_folder_without_labels_is_left_out(tmp_path):
    classes(tmp_path / "train")
    picture(tmp_path / "pred" / "1")
    data = load(tmp_path)
    assert "The folder pred was left out" in texts(data)
    picture(tmp_path / "test" / "1")
    assert "The test split was left out: nothing tells the classes" in texts(load(tmp_path))


def test_classes_keep_the_order_of_their_numbers(tmp_path):
    for label in range(12):
        picture(tmp_path / str(label) / "0")
        picture(tmp_path / str(label) / "1")
    data = load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == tuple(map(str, range(12)))


def test_class_names_that_differ_in_case_or_unicode_form_are_one_class(tmp_path):
    for split, cat, cheese in (("train", "cat", "NFC"), ("test", "Cat", "NFD")):
        for i in range(4):
            picture(tmp_path / split / cat / str(i))
            picture(tmp_path / split / unicodedata.normalize(cheese, "käse") / str(i))
    data = load(tmp_path)
    assert data.preparation.classes == ("cat", unicodedata.normalize("NFC", "käse"))
    assert data.test.count() == 8 and "by their names in training: Cat as cat" in texts(data)


def test_classes_of_one_split_that_differ_in_case_stay_two_and_are_noted(tmp_path):
    for label in "aAb":
        for i in range(3):
            picture(tmp_path / "train" / label / str(i))
            picture(tmp_path / "test" / label / str(i))
    data = load(tmp_path)
    assert sorted(data.preparation.classes) == ["A", "a", "b"] and "A, a are 2 classes" in texts(data)
    (tmp_path / "test" / "b").rename(tmp_path / "test" / "B")
    assert "B as b" in texts(load(tmp_path))


def test_the_class_in_file_names(tmp_path):
    for i in range(8):
        picture(tmp_path / f"{'cat' if i % 2 else 'dog'}.{i}.x")
    data = load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == ("cat", "dog") and "file names, such as cat, dog" in texts(data)
    for i in range(8):
        picture(tmp_path / "other" / f"{'IMG' if i % 2 else 'DSC'}_{i}.x")
    with refused("at least two subfolders", "labels.csv", "8 pictures outside"):
        load(tmp_path / "other")


def test_pictures_next_to_class_folders_are_noted(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "logo")
    assert "Left out: 1 picture next to the class folders (logo.png)" in texts(load(tmp_path))


# Tables of labels


def labelled(folder, count=12, names="{}.png"):
    for i in range(count):
        picture(folder / "images" / str(i))
    return {"file": [names.format(i) for i in range(count)], "label": ["cat", "dog"] * (count // 2)}


@pytest.mark.parametrize(
    "names", ["{}.png", "{}", "images/{}.png", "./images/{}.png", "C:\\me\\images\\{}.png"]
)
def test_a_table_of_labels(tmp_path, names):
    csv(tmp_path / "labels.csv", labelled(tmp_path, names=names))
    data = load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == ("cat", "dog") and data.preparation.target == "label"
    for row, label in zip(data.train.inputs, data.train.targets, strict=True):
        number = next(
            i
            for i in range(12)
            if np.array_equal(np.asarray(Image.open(tmp_path / "images" / f"{i}.png")), row)
        )
        assert label == number % 2


def test_a_table_with_several_columns_needs_a_target(tmp_path):
    table = labelled(tmp_path) | {"age": [i / 8 for i in range(12)]}
    csv(tmp_path / "people.csv", table)
    with refused("must have one column of labels", "label, age", "target='age'"):
        load(tmp_path)
    data = load(tmp_path, target="age", validation=0)
    assert data.task == "regression" and data.preparation.target == "age"
    with refused("must be a column of the table", "did you mean 'age'"):
        load(tmp_path, target="ages")


def test_numbers_as_labels_are_not_taken_for_names_of_files(tmp_path):
    table = labelled(tmp_path)
    csv(tmp_path / "labels.csv", {"file": table["file"], "label": [i % 2 for i in range(12)]})
    data = load(tmp_path, test=0, validation=0)  # 0.png and 1.png exist, too
    assert data.preparation.classes == (0, 1) and data.train.count() == 12
    assert data.train.targets.tolist() == [i % 2 for i in range(12)]


def test_a_table_with_a_column_of_splits(tmp_path):
    csv(tmp_path / "people.csv", labelled(tmp_path) | {"set": ["train"] * 6 + ["valid"] * 4 + ["test"] * 2})
    data = load(tmp_path)
    assert [split.count() for split in data.splits.values()] == [6, 4, 2]


def test_files_that_a_table_lacks_and_rows_without_files_are_noted(tmp_path):
    table = labelled(tmp_path)
    table["file"][0], table["label"][1] = "gone.png", ""
    csv(tmp_path / "labels.csv", table)
    data = load(tmp_path, test=0, validation=0)
    assert data.train.count() == 10
    for words in ("1 row of labels.csv whose files are not there (gone.png)", "1 file without a label"):
        assert words in texts(data)
    assert "1 file that labels.csv does not name" in texts(data)


def test_a_name_that_files_of_two_folders_share_needs_its_folder(tmp_path):
    table = labelled(tmp_path)
    picture(tmp_path / "images" / "more" / "3")
    csv(tmp_path / "labels.csv", table)
    data = load(tmp_path, test=0, validation=0)
    assert data.train.count() == 11 and "whose files are not there (3.png)" in texts(data)
    table["file"][3] = "images/more/3.png"
    csv(tmp_path / "labels.csv", table)
    data = load(tmp_path, test=0, validation=0)
    with Image.open(tmp_path / "images" / "more" / "3.png") as image:
        assert any(np.array_equal(image, row) for row in data.train.inputs)


def test_a_table_beside_class_folders_is_noted_unless_it_repeats_them(tmp_path):
    classes(tmp_path)
    files = [f"{label}/{i:02}.png" for label in ("cat", "dog") for i in range(10)]
    table = {"file": files, "mood": ["good", "bad"] * 10}
    csv(tmp_path / "moods.csv", table)
    data = load(tmp_path, test=0, validation=0)
    assert data.preparation.classes == ("cat", "dog")
    assert "moods.csv was not used, though its column file names files" in texts(data)
    assert "target='mood'" in texts(data)
    assert load(tmp_path, target="mood", test=0, validation=0).preparation.classes == ("bad", "good")
    csv(tmp_path / "moods.csv", table | {"class": ["cat"] * 10 + ["dog"] * 10})
    assert "moods.csv" not in texts(load(tmp_path, test=0, validation=0))
    csv(
        tmp_path / "moods.csv", {"Unnamed: 0": list(range(20)), "file": files}
    )  # an index and a list of files
    assert "moods.csv" not in texts(load(tmp_path, test=0, validation=0))
    lines = "\n".join(json.dumps({"file": file, "boxes": [[1, 2]]}) for file in files)
    (tmp_path / "moods.jsonl").write_text(lines)
    assert load(tmp_path, test=0, validation=0).preparation.classes == ("cat", "dog")
    (tmp_path / "moods.jsonl").unlink()
    for content in (b"", b"\xff\x00" * 40, b"a,b\n1\n"):  # one that nobody asked for may be damaged
        (tmp_path / "moods.csv").write_bytes(content)
        assert load(tmp_path, test=0, validation=0).preparation.classes == ("cat", "dog")


def test_a_file_with_two_labels_or_two_tables_is_refused(tmp_path):
    table = labelled(tmp_path)
    csv(tmp_path / "labels.csv", table)
    csv(tmp_path / "other.csv", table)
    with refused("only one table may name the files", "labels.csv, other.csv"):
        load(tmp_path)
    (tmp_path / "other.csv").unlink()
    table["file"][1] = "0.png"
    csv(tmp_path / "labels.csv", table)
    with refused("a file must have one label", "0.png as 'cat' and 'dog'"):
        load(tmp_path)


def test_a_target_where_folders_are_the_classes_is_refused(tmp_path):
    classes(tmp_path)
    with refused("target is for", "the class of an image is the name of its folder"):
        load(tmp_path, target="breed")


# Formats


@pytest.mark.parametrize("ending", [".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".JPG", ".ppm"])
def test_formats(tmp_path, ending):
    for label, level in (("a", 50), ("b", 200)):
        for i in range(3):
            form = {"format": "JPEG"} if ending == ".jfif" else {}
            saved(
                Image.new("RGB", (12, 10), (level, level + i, level)),
                tmp_path / label / f"{i}{ending}",
                **form,
            )
    data = load(tmp_path, test=0, validation=0)
    assert data.input_shape == (10, 12, 3)
    assert np.abs(data.train.inputs[:3].astype(int) - 50).max() < 6
    assert np.abs(data.train.inputs[3:].astype(int) - 200).max() < 6


def test_a_class_of_unreadable_kinds_is_refused_and_other_files_are_noted(tmp_path):
    classes(tmp_path)
    (tmp_path / "cat" / "a.HEIC").write_bytes(b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("x")
    data = load(tmp_path)
    assert "kinds that cannot be read: 1 .heic" in texts(data)
    assert "The folder notes was left out: it holds no pictures, only 1 .txt." in texts(data)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "a.heic").write_bytes(b"x")
    with refused("every class folder must hold PNG", "owl: 1 .heic"):
        load(tmp_path)


def test_hidden_files_and_those_of_systems_are_skipped(tmp_path):
    made = classes(tmp_path)
    for name in ("._00.png", ".hidden.png"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    for name in ("__MACOSX", ".ipynb_checkpoints", "@eaDir"):
        (tmp_path / name / "cat").mkdir(parents=True)
        (tmp_path / name / "cat" / "x.png").write_bytes(b"x")
    data = load(tmp_path, test=0, validation=0)
    assert data.train.count() == len(made["cat"]) * 2 and not data.notes


def test_a_loop_of_links_ends(tmp_path):
    classes(tmp_path)
    (tmp_path / "cat" / "loop").symlink_to(tmp_path / "cat", target_is_directory=True)
    assert load(tmp_path, test=0, validation=0).train.count() == 20


def test_a_pipe_is_not_opened(tmp_path):
    classes(tmp_path)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    with refused("every picture must be readable", "pipe.png: no regular file"):
        load(tmp_path)


def test_the_first_picture_of_an_animation_is_used(tmp_path):
    for label, level in (("a", 50), ("b", 200)):
        for ending in (".gif", ".tif"):
            frames = [Image.new("L", (12, 10), level), Image.new("L", (12, 10), 0)]
            options = {"save_all": True, "append_images": frames[1:]}
            saved(frames[0], tmp_path / label / f"0{ending}", **options)
    data = load(tmp_path, test=0, validation=0)
    assert np.unique(data.train.inputs).tolist() == [50, 200]
    assert "Of 4 files with an animation or several pages" in texts(data)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_pictures_are_upright_in_training_and_prediction(tmp_path, ending, orientation):
    upright = Image.new("RGB", (16, 16))
    ImageDraw.Draw(upright).polygon([(0, 0), (15, 0), (0, 9)], fill="white")  # no two turns of it are equal
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored_as = upright.transpose(Image.Transpose(inverse))
    exif = Image.Exif()
    exif[274] = orientation
    for label in "ab":
        saved(upright, tmp_path / label / "0.png")
        saved(
            stored_as,
            tmp_path / label / f"1{ending}",
            exif=exif,
            **({"quality": 95} if ending == ".jpg" else {}),
        )
    data = load(tmp_path, test=0, validation=0)
    assert np.abs(data.train.inputs[1].astype(int) - data.train.inputs[0]).mean() < 8
    alone = inputs_for(tmp_path / "a" / f"1{ending}", stored(data))
    assert np.array_equal(alone[0], data.train.inputs[1])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(tmp_path, mode):
    grey = Image.new("L", (12, 10), 80)
    for label in "ab":
        saved(grey, tmp_path / label / "0.png")
    alpha = Image.new("L", (12, 10), 255)
    alpha.paste(0, (0, 0, 6, 10))
    image = grey.convert("LA" if mode == "LA" else "RGBA")
    image.putalpha(alpha)
    if mode == "P":
        image = Image.new("P", (12, 10), 1)
        image.putpalette([0, 0, 0, 80, 80, 80])
        image.paste(0, (0, 0, 6, 10))
    saved(image, tmp_path / "a" / "1.png", **({"transparency": 0} if mode == "P" else {}))
    data = load(tmp_path, test=0, validation=0)
    assert data.train.inputs[1][:, :6].min() == 255 and np.unique(data.train.inputs[1][:, 6:]).tolist() == [
        80
    ]
    assert "Transparent parts were made white in 1 picture." in texts(data)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "F", "I"])
def test_modes(tmp_path, mode):
    ending = ".png" if mode in ("1", "P", "I;16") else ".tif"
    for label, level in (("a", 0), ("b", 255)):
        for i in range(2):
            base = Image.new("L", (12, 10), level)
            base.putpixel((i, 0), 255 - level)
            wide = {"I;16": np.uint16, "F": np.float32, "I": np.int32}.get(mode)
            factor = {"I;16": 16, "F": 1 / 255, "I": 1}.get(mode, 1)
            image = (
                Image.fromarray((np.asarray(base) * factor).astype(wide))
                if wide
                else (base if mode == "P" else base.convert("RGB")).convert(mode)
            )
            saved(image, tmp_path / label / f"{i}{ending}")
    data = load(tmp_path, test=0, validation=0)
    flat = data.train.inputs.reshape(4, -1).astype(float).mean(axis=1)
    assert (flat[:2] < 12).all() and (flat[2:] > 243).all()
    assert data.input_shape == ((10, 12, 3) if mode in ("RGB", "CMYK", "YCbCr") else (10, 12))


# Broken files


def test_all_broken_files_are_named_and_can_be_left_out(tmp_path):
    classes(tmp_path, colour=True, ending=".jpg")
    for i in range(3):
        path = tmp_path / "dog" / f"0{i}.jpg"
        path.write_bytes(path.read_bytes()[:-60])
    (tmp_path / "cat" / "empty.png").touch()
    with refused(
        "every picture must be readable", "4 of 21", "cat/empty.png: an empty file", "skip_broken=True"
    ):
        load(tmp_path)
    with refused("dog/00.jpg", "dog/01.jpg", "dog/02.jpg: image file is truncated"):
        load(tmp_path)
    data = load(tmp_path, skip_broken=True, test=0, validation=0)
    assert np.bincount(data.train.targets).tolist() == [10, 7]
    assert "Left out: 4 pictures that cannot be read (cat/empty.png: an empty file" in texts(data)
    with refused("4 of 21"):
        inputs_for(tmp_path, stored(data))


def test_many_broken_files_are_counted(tmp_path):
    classes(tmp_path)
    for i in range(30):
        (tmp_path / "cat" / f"x{i}.png").write_bytes(b"x")
    with refused("30 of 50", "x9.png", "and 20 more"):
        load(tmp_path)


def test_a_class_that_would_vanish_with_its_broken_files_is_refused(tmp_path):
    classes(tmp_path)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "0.png").write_bytes(b"x")
    with refused("every class must have pictures that can be read", "owl"):
        load(tmp_path, skip_broken=True)


def test_a_decompression_bomb_is_our_error(tmp_path, monkeypatch):
    classes(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    picture(tmp_path / "cat" / "bomb", size=(20, 20))
    with refused("cat/bomb.png: more than 200 pixels"):
        load(tmp_path)


# Size


def test_size_is_asked_for_or_follows_from_memory(tmp_path, monkeypatch):
    classes(tmp_path, colour=True, size=(30, 40))
    asked = load(tmp_path, size="20x10", test=0, validation=0)
    assert asked.input_shape == (10, 20, 3) and "resized to the size asked for, 20x10" in texts(asked)
    assert load(tmp_path, size=16).input_shape == (16, 16, 3)
    monkeypatch.setattr(device, "free_memory", lambda: 4 * 20 * 3 * 30 * 40 // 4)
    reduced = load(tmp_path, test=0, validation=0, stream=False)
    assert reduced.input_shape == (15, 20, 3)
    assert "all were resized to 20x15, the largest size within a quarter of the free memory" in texts(reduced)
    assert reduced.notes[0].change == "size='10x7'"
    monkeypatch.undo()
    again = load(tmp_path, **reduced.source["options"])  # as resume reads it, with more memory
    assert again.fingerprint == reduced.fingerprint


def test_photographs_are_made_small_unless_their_size_is_asked_for(tmp_path):
    classes(tmp_path, colour=True, size=(300, 400))  # height, width
    data = load(tmp_path, test=0, validation=0)
    assert data.input_shape == (110, 147, 3)
    assert "resized to 147x110, from 400x300" in texts(data) and data.notes[0].change == "size='400x300'"
    assert load(tmp_path, size="400x300").input_shape == (300, 400, 3)
    assert not texts(load(tmp_path, size="400x300", test=0, validation=0))
    picture(tmp_path / "dog" / "00", size=(200, 400), colour=True)
    assert "from the most common size, 400x300" in texts(load(tmp_path, test=0, validation=0))


def test_a_size_that_does_not_fit_or_makes_no_sense_is_refused(tmp_path, monkeypatch):
    classes(tmp_path, colour=True)
    with refused("fit into a quarter of the free memory", "60000x60000", "ask for less, such as size="):
        load(tmp_path, size=60000)
    for size in (0, -3, "3x", "axb", "1x2x3", 2.5, True, "99999", ""):
        with refused("size must be"):
            load(tmp_path, size=size)
    monkeypatch.setattr(device, "free_memory", lambda: 2000)
    with refused("fit into a quarter of the free memory with at least 8 pixels a side", "fewer pictures"):
        load(tmp_path)
    for source in ("iris", "digits", (np.zeros((9, 8, 8)), np.arange(9))):
        with refused("size is for folders of images", "leave size out"):
            load(source, size=9)
        with refused("skip_broken is for folders of images"):
            load(source, skip_broken=True)


def test_large_pictures_are_never_in_memory_together(tmp_path):
    """32 pictures of 12 megapixels, 1.1 GB in all, are read with a fraction of it."""
    level = {"a": 50, "b": 200}
    for label in level:
        first = saved(Image.new("RGB", (4000, 3000), (level[label],) * 3), tmp_path / label / "0.jpg")
        for i in range(1, 16):
            (tmp_path / label / f"{i}.jpg").write_bytes(first.read_bytes() + bytes([i]))
    load("iris")  # imports what any load needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = load(tmp_path, size="40x30", test=0, validation=0)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kilobytes; Pillow's memory included
    assert data.input_shape == (30, 40, 3) and more < 200_000
    assert np.abs(data.train.inputs[:16].astype(int) - 50).max() < 3


def test_sizes_without_a_common_one_become_the_median(tmp_path):
    for i in range(10):
        picture(tmp_path / "ab"[i % 2] / str(i), size=(20 + i, 30 + 2 * i))
    data = load(tmp_path)
    assert data.input_shape == (24, 38) and "resized to the median size, 38x24" in texts(data)
    assert data.notes[0].change == "size='19x12'"


def test_stretched_pictures_are_counted(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "dog" / "00", size=(20, 12))
    picture(tmp_path / "dog" / "01", size=(20, 24))
    assert "2 of 20 pictures were resized" in texts(load(tmp_path))
    assert "1 of them have another shape and were stretched" in texts(load(tmp_path))


# Prediction


def test_file_names_stand_in_natural_order(tmp_path):
    for i in (1, 2, 10):
        picture(tmp_path / "new" / f"img{i}")
    picture(tmp_path / "new" / "deep" / "img3")
    classes(tmp_path / "train")
    preparation = stored(load(tmp_path / "train"))
    names = ["img1.png", "img2.png", "img10.png", "deep/img3.png"]
    assert read_new(tmp_path / "new", preparation).files == names
    rows = inputs_for(tmp_path / "new", preparation)
    for name, row in zip(names, rows, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / name)), row)
    assert read_new(tmp_path / "new" / "img2.png", preparation).files == ["img2.png"]
    assert read_new(rows, preparation).files is None
    (tmp_path / "new" / "photo.heic").write_bytes(b"x")
    with refused("all pictures of the folder must be", "1 .heic", "convert"):
        inputs_for(tmp_path / "new", preparation)


def test_a_folder_without_pictures_cannot_be_predicted(tmp_path):
    classes(tmp_path / "train")
    (tmp_path / "empty").mkdir()
    with refused("the folder must hold PNG", "another folder"):
        inputs_for(tmp_path / "empty", stored(load(tmp_path / "train")))


def test_a_single_picture_is_no_data_set(tmp_path):
    path = saved(Image.new("L", (9, 9)), tmp_path / "a.png")
    with refused("the file must end in", "give the folder of the images"):
        load(path)
