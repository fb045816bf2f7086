"""Text columns: inputs for the words that many rows share."""

import numpy as np
import polars as pl

from thalweg.problem.data.inputs.rules import WordRule
from thalweg.problem.data.load import load
from thalweg.problem.data.preparation import Preparation

NAMES = [
    f"{('Mr', 'Mrs', 'Dr')[i % 3]}. Person{chr(97 + i % 26)}{chr(97 + i // 26)} of Ghent" for i in range(120)
]


def test_words_are_shared_by_many_rows_but_not_all():
    rule = WordRule.fit(pl.Series("name", NAMES))
    assert set(rule.words) == {"mr", "mrs", "dr"}  # "of" and "ghent" stand in every row, the rest in one each
    assert rule.features == tuple(f"name~{word}" for word in rule.words)


def test_words_of_a_cell_are_marked():
    rule = WordRule("name", ("mr", "mrs"))
    inputs = rule.apply(pl.Series("name", ["MR. X", "Mrs Y, Mr Y", None, "Dr Z"]), ())
    assert np.array_equal(inputs, [[1, 0], [1, 1], [0, 0], [0, 0]])


def test_identifiers_have_no_words():
    assert not WordRule.fit(pl.Series("id", [f"a{i}-{i * 7}" for i in range(100)])).words


def test_a_table_learns_from_words_and_notes_it():
    frame = pl.DataFrame(
        {"name": NAMES, "x": np.arange(120) % 7, "y": ["ab"[i % 3 == 0] for i in range(120)]}
    )
    data = load(frame, target="y")
    assert any(note.kind == "words" and "mrs" in note.text for note in data.notes)
    again = Preparation.from_dict(data.preparation.to_dict())
    assert again == data.preparation
    assert again.columns.inputs(frame).shape == (120, 4)
