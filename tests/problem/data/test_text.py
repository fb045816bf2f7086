import gzip

import numpy as np

from tests.problem.data.given import refused
from thalweg.problem.data.load import load

TEXT = "to be or not to be that is the question\n" * 60


def written(tmp_path, text=TEXT, name="words.txt"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_text_becomes_windows_of_tokens(tmp_path):
    data = load(written(tmp_path), context=16)
    assert (data.name, data.task, data.input_shape, data.test) == ("words", "language", (16,), None)
    assert data.outputs == len(set(TEXT))
    assert data.train.tokens.size == round(len(TEXT) * 0.9)
    columns = data.preparation.columns
    assert columns.text(data.train.tokens) + columns.text(data.validation.tokens) == TEXT


def test_the_target_of_a_position_is_the_next_character(tmp_path):
    data = load(written(tmp_path), context=8)
    inputs, targets = data.train.batch(np.array([0, 3]))
    assert data.preparation.columns.text(inputs[1]) == TEXT[3:11]
    assert data.preparation.columns.text(targets[1]) == TEXT[4:12]


def test_evaluation_windows_count_every_token_once(tmp_path):
    split = load(written(tmp_path), context=16).validation
    starts = np.arange(split.count())
    _, targets = split.batch(starts)
    assert split.stride == 16 and np.array_equal(np.ravel(targets), split.tokens[1 : targets.size + 1])
    assert split.tokens.size - 1 - targets.size < 16


def test_the_test_split_comes_last(tmp_path):
    data = load(written(tmp_path), context=8, test=0.2, validation=0.25)
    counts = [split.tokens.size for split in data.splits.values()]
    assert counts == [round(len(TEXT) * 0.6), round(len(TEXT) * 0.2), round(len(TEXT) * 0.2)]


def test_characters_outside_the_training_text_become_the_unknown_mark(tmp_path):
    data = load(written(tmp_path, TEXT + "jazz " * 40), context=8)
    columns = data.preparation.columns
    assert columns.characters[-1] == "\ufffd" and data.outputs == len(columns.characters)
    assert columns.text(columns.inputs("tz")) == "t\ufffd"
    assert [note.kind for note in data.notes] == ["unknown"]


def test_an_unknown_character_becomes_the_most_frequent_one(tmp_path):
    columns = load(written(tmp_path), context=8).preparation.columns
    assert "\ufffd" not in columns.characters
    assert columns.text(columns.inputs("toz")) == "to "


def test_gz_and_line_ends_do_not_matter(tmp_path):
    plain = load(written(tmp_path), context=8)
    packed = load(written(tmp_path, TEXT.replace("\n", "\r\n"), "words.txt.gz"), context=8)
    assert plain.fingerprint == packed.fingerprint


def test_bad_texts_are_refused(tmp_path):
    with refused("longer than one window of 64", "characters"):
        load(written(tmp_path, "short"))
    with refused("two different characters"):
        load(written(tmp_path, "a" * 2000))
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 " * 400)
    with refused("must be UTF-8", "0xe9 at 3"):
        load(path)
