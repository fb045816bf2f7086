"""Random folders of pictures are understood as they were meant, or refused in a sentence of ours."""

import unicodedata
from collections import Counter

import numpy as np
import pytest

from tests.problem.data.given import refused
from tests.problem.data.messy_images import CORNER, HIGHEST, LOWEST, SIZE, build
from thalweg.problem.data.load import load

TREES, BLOCK = 300, 20


@pytest.mark.parametrize("first", range(0, TREES, BLOCK))
def test_trees_are_read_as_they_were_meant(tmp_path, first):
    for seed in range(first, first + BLOCK):
        try:
            check(tmp_path / str(seed), seed)
        except Exception as error:
            raise AssertionError(f"tree {seed}") from error


def check(folder, seed):
    folder.mkdir()
    meaning = build(folder, seed)
    options = {"validation": 0.1 if "validation" in meaning.counts else 0}
    options |= {} if "test" in meaning.counts else {"test": 0}
    if meaning.refused:
        with refused(*meaning.refused):
            load(folder, **options)
        return
    if meaning.broken:
        with refused("every picture must be readable", "skip_broken=True", *meaning.broken):
            load(folder, **options)
        options["skip_broken"] = True
    data = load(folder, **options)
    texts = " ".join(note.text for note in data.notes)
    for words in (*meaning.noted, *meaning.broken):
        assert words in texts, (words, texts)
    assert data.preparation.classes == tuple(unicodedata.normalize("NFC", name) for name in meaning.level)
    assert set(data.splits) == set(meaning.counts), texts
    levels = np.array(list(meaning.level.values()))
    for split, counts in meaning.counts.items():
        rows, labels = np.asarray(data.splits[split].inputs), np.asarray(data.splits[split].targets)
        assert rows.shape[1:3] == SIZE[::-1] and rows.dtype == np.uint8
        assert Counter(labels.tolist()) == {list(meaning.level).index(k): n for k, n in counts.items()}
        grey = rows.astype(float) if rows.ndim == 3 else rows.mean(axis=3)
        bottom = np.median(grey[:, 5:, 7:].reshape(len(grey), -1), axis=1)
        corner = np.median(grey[:, :3, :5].reshape(len(grey), -1), axis=1)
        tolerance = (HIGHEST - LOWEST) / (len(levels) - 1) / 2
        assert np.abs(bottom - levels[labels]).max() < tolerance, (bottom, labels)
        assert np.abs(corner - bottom - CORNER).max() < 12, (corner, bottom)
