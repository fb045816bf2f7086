"""The page and the text of what was understood."""

import re

import numpy as np
import pytest

import thalweg as tw
from tests.problem.data.given import csv
from thalweg.doors.cli import app
from thalweg.view import data as data_view
from thalweg.view.text import plain


@pytest.fixture
def found(tmp_path):
    columns = {
        "size": [i * 0.37 % 5 for i in range(90)],
        "<b>kind</b>": ["red", "green", "<i>blue</i>"] * 30,
        "y": [i * 0.5 for i in range(90)],
    }
    return tw.understand(csv(tmp_path / "t.csv", columns), target="y")


def test_the_page_shows_every_column_and_runs_nothing_of_the_data(found):
    page = data_view.render(found)
    assert "<b>kind" not in page and "&lt;b&gt;kind&lt;/b&gt;" in page and "&lt;i&gt;blue" in page
    assert page.count('class="card"') == 3 and page.count("<rect") >= 24
    assert not re.search(r'(src|href)="(?!#)', page)


def test_the_text_fits_eighty_columns_and_names_the_columns(found):
    text = plain(data_view.show(found))
    assert max(map(len, text.splitlines())) <= 80
    for word in ("size", "<b>kind</b>", "number (target)", "category", "explains"):
        assert word in text


def test_pictures_are_described_by_size_splits_and_classes():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 12, 3)).astype(np.uint8)
    found = tw.understand((pixels, np.array(["cat", "dog", "cat", "cow"] * 10)))
    text = plain(data_view.show(found))
    assert "pictures of 12 x 9 pixels, in colour" in text
    assert "40: train 29, validation 3, test 8" in text
    counts = found.class_counts()
    assert sum(counts["train"].values()) == 29 and set(counts) == {"train", "validation", "test"}
    assert f"cat ({counts['train']['cat']})" in text and found.to_dict()["data"]["classes"] == counts
    page = data_view.render(found)
    assert "pictures of 12 x 9 pixels, in colour" in page
    assert f'<th scope="row">cat</th><td>{counts["train"]["cat"]}</td>' in page
    assert not tw.understand((pixels, np.linspace(0, 1, 40))).class_counts()  # numbers have no classes


def test_the_command_prints_the_same_as_json(tmp_path, capsys):
    csv(tmp_path / "t.csv", {"a": [0.5 * i for i in range(40)], "y": [0, 1] * 20})
    with pytest.raises(SystemExit) as ended:
        app.app(
            ["data", str(tmp_path / "t.csv"), "--target", "y", "--page", str(tmp_path / "d.html"), "--json"]
        )
    assert ended.value.code == 0
    assert '"kind": "number"' in capsys.readouterr().out.replace('":"', '": "')
    assert (tmp_path / "d.html").read_text(encoding="utf-8").startswith("<!doctype html>")
