import json

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.load import load
from thalweg.problem.data.preparation import Preparation

RANDOM = np.random.default_rng(0)


def table():
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 12, 31), eager=True)[:100]
    return pl.DataFrame(
        {"a": RANDOM.lognormal(size=100), "b": ["u", "v"] * 50, "when": days, "y": RANDOM.normal(size=100)}
    )


MADE = {
    "table": lambda: load(table(), target="y"),
    "array": lambda: load((RANDOM.normal(size=(50, 2)), RANDOM.normal(size=(50, 3)))),
    "image": lambda: load((RANDOM.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8), np.arange(50) % 2)),
}


@pytest.mark.parametrize("kind", ["table", "array", "image"])
def test_a_preparation_is_written_and_read_back_exactly(kind):
    made = MADE[kind]().preparation
    back = Preparation.from_dict(json.loads(json.dumps(made.to_dict())))
    assert back == made and back.to_dict() == made.to_dict() and back.columns.kind == kind
    assert isinstance(back.columns, Columns)


def test_a_text_preparation_is_written_and_read_back_exactly(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("to be or not to be \u20ac\n" * 90, encoding="utf-8")
    made = load(path).preparation
    assert Preparation.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_another_key_or_kind_is_refused():
    told = MADE["array"]().preparation.to_dict()
    with refused("known keys", "shade", who="preparation"):
        Preparation.from_dict(told | {"shade": 1})
    with refused("known kind", "did you mean 'array'?", who="preparation"):
        Preparation.from_dict(told | {"columns": told["columns"] | {"kind": "arrays"}})
    with refused("must be complete", "mean", who="preparation"):
        Preparation.from_dict(told | {"columns": {"kind": "array", "shape": [2]}})


def test_answers_name_the_classes():
    found = Preparation(MADE["array"]().preparation.columns, classes=("no", "yes")).answers(
        np.array([[0.0, np.log(3.0)]]), "classification"
    )
    assert found["prediction"].tolist() == ["yes"] and np.allclose(found["probability_yes"], 0.75)
