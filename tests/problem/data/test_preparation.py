import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.examples import examples
from thalweg.problem.data.inputs import Columns, kinds
from thalweg.problem.data.load import load
from thalweg.problem.data.preparation import Preparation

RANDOM = np.random.default_rng(0)


def table():
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 12, 31), eager=True)[:100]
    return pl.DataFrame(
        {"a": RANDOM.lognormal(size=100), "b": ["u", "v"] * 50, "when": days, "y": RANDOM.normal(size=100)}
    )


MAKERS = {
    "table": lambda: load(table(), target="y"),
    "array": lambda: load((RANDOM.normal(size=(50, 2)), RANDOM.normal(size=(50, 3)))),
    "image": lambda: load((RANDOM.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8), np.arange(50) % 2)),
    "series": lambda: load(table(), target="y", window=4),
    "tree": lambda: examples({"a": RANDOM.normal(size=(50, 2)), "b": np.arange(50)}),
    "text": lambda: load_text("to be or not to be \u20ac\n" * 90),
    "lines": lambda: load_text("\n".join(f"line {i}\u20ac" for i in range(50)), lines=True),
}


def load_text(text, **settings):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_text(text, encoding="utf-8")
        return load(path, **settings)


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_a_preparation_is_written_and_read_back_exactly(kind):
    preparation = MAKERS[kind]().preparation
    back = Preparation.from_dict(json.loads(json.dumps(preparation.to_dict())))
    assert back == preparation and back.to_dict() == preparation.to_dict() and back.columns.kind == kind
    assert isinstance(back.columns, Columns)


def test_another_key_or_kind_is_refused():
    plain = MAKERS["array"]().preparation.to_dict()
    with refused("known keys", "shade", who="preparation"):
        Preparation.from_dict(plain | {"shade": 1})
    with refused("known kind", "did you mean 'array'?", who="preparation"):
        Preparation.from_dict(plain | {"columns": plain["columns"] | {"kind": "arrays"}})
    with refused("must be complete", "mean", who="preparation"):
        Preparation.from_dict(plain | {"columns": {"kind": "array", "shape": [2]}})


def test_answers_name_the_classes():
    answers = Preparation(MAKERS["array"]().preparation.columns, classes=("no", "yes")).answers(
        np.array([[0.0, np.log(3.0)]]), "classification"
    )
    assert answers["prediction"].tolist() == ["yes"] and np.allclose(answers["probability_yes"], 0.75)


def test_values_are_in_the_unit_of_the_target_with_what_is_added_to_each():
    ready = Preparation(MAKERS["array"]().preparation.columns, target_mean=(10.0,), target_scale=(4.0,))
    outputs, offsets = np.array([[0.5], [1.0]]), np.array([2.0, -1.0])
    assert ready.answers(outputs, "regression")["prediction"].tolist() == [12.0, 14.0]
    assert ready.answers(outputs, "regression", offsets=offsets)["prediction"].tolist() == [20.0, 10.0]


def test_every_label_has_a_probability_of_its_own():
    columns = MAKERS["array"]().preparation.columns
    outputs = np.log(np.array([[1.0, 3.0, 1 / 4], [9.0, 1 / 3, 1.5]]))
    answers = Preparation(columns, classes=("a", "b", "c")).answers(outputs, "multilabel")
    np.testing.assert_allclose(
        [answers[f"probability_{name}"] for name in "abc"], [[0.5, 0.9], [0.75, 0.25], [0.2, 0.6]], rtol=1e-5
    )


def test_every_kind_is_registered_by_its_class_alone():
    assert set(kinds()) >= {"table", "array", "image", "text", "lines", "series"}
    assert all(issubclass(columns, Columns) for columns in kinds().values())
    assert [kind for kind, columns in kinds().items() if columns.is_image] == ["image"]
    assert {kind for kind, columns in kinds().items() if columns.writes_text} == {"text", "lines"}
    assert {kind for kind, columns in kinds().items() if columns.takes_frames} == {"table", "series"}


def test_a_preparation_is_read_back_in_a_process_that_loaded_no_data():
    plain = MAKERS["table"]().preparation.to_dict()
    code = (
        "import json, sys; from thalweg.problem.data.preparation import Preparation;"
        "print(Preparation.from_dict(json.load(sys.stdin)).columns.kind)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(plain), text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == "table"
