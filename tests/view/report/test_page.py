"""The report's page: complete, self-contained, safe, of bearable size."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.insight import made
from thalweg.view.report import render

HOSTILE = '<script>alert("x")</script>'
RECORDS = {
    "classification": made.classification,
    "regression": made.regression,
    "few numbers": lambda: made.regression(examples=40, steps=3),
    "diverged": made.diverged,
    "diverged at once": lambda: made.diverged(1),
    "deep": lambda: made.classification(layers=40),
    "many classes": lambda: made.classification(classes=100, examples=20_000, accuracy=0.6),
    "two classes": lambda: made.classification(classes=2),
    "no validation": lambda: made.classification(validation=False),
    "one step": lambda: made.classification(steps=1, epochs=0.002),
    "empty": made.empty,
}


class Tree(HTMLParser):
    """Checks that every element is closed in order, and gathers anchors and references."""

    VOID = frozenset({"br", "input", "meta"})

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "srcset", "data", "action", "xlink:href"):
                self.references.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_gives_a_well_formed_page_without_outside_references(name):
    page = render(RECORDS[name]())
    tree = Tree(page)
    assert tree.open == []
    assert len(tree.ids) == len(set(tree.ids))
    assert all(reference.startswith("#") and reference[1:] in tree.ids for reference in tree.references)
    assert not re.search(r"https?://|url\(|@import|<link|<img|<iframe", page)


def test_sections_are_there_and_named():
    tree = Tree(render(made.classification()))
    assert {
        "verdict",
        "curves",
        "answers",
        "layers",
        "data",
        "recipe",
        "model",
        "cost",
        "environment",
    } <= set(tree.ids)
    missing = Tree(render(made.diverged()))
    assert "answers" not in missing.ids
    assert "layers" not in missing.ids


@pytest.mark.parametrize(
    "part",
    [
        "95.25 % test accuracy",
        "predicting the commonest class gives 10.9 %",
        "Loss (cross_entropy)",
        "Learning rate",
        "Gradient norm",
        "Update to weight ratio",
        "<b>7</b> predicted as <b>8</b>: 11 times",
        "The commonest class has 11.2 % of the rows",
        "warmup-cosine",
        "512 \u00d7 784",
        "22.7 k examples/s",
        "0.10.2",
    ],
)
def test_the_page_says(part):
    assert part in render(made.classification())


def test_predicted_cost_stands_beside_what_was_measured():
    record = made.classification()
    assert "Predicted and measured" not in render(record)
    cost = {
        "step_seconds": {"predicted": 0.004, "measured": 0.005},
        "memory": {"predicted": 40_000_000, "compiled": 42_000_000, "process": 900_000_000},
        "operations": {"step": 2e6, "rate": 4e8},
    }
    page = render(replace(record, result=record.result | {"cost": cost}))
    assert "Predicted and measured" in page and "5 ms" in page and "1.25" in page and "1.05" in page
    unknown = cost | {"step_seconds": {"predicted": None, "measured": 0.005}}
    page = render(replace(record, result=record.result | {"cost": unknown}))
    assert "time of an update" not in page and "memory of the training loop" in page


def test_hostile_names_are_shown_and_not_run():
    record = made.classification(classes=3, names=[HOSTILE, "a&b", '"quoted"'], accuracy=0.5)
    data = record.problem["data"] | {"name": HOSTILE, "target": HOSTILE, "task": "classification"}
    data["notes"] = [{"kind": HOSTILE, "text": HOSTILE, "columns": [HOSTILE]}]
    model = record.problem["model"] | {"spec": HOSTILE}
    model["layers"] = [layer | {"path": HOSTILE + layer["path"]} for layer in model["layers"]]
    hostile = replace(
        record,
        folder=Path("runs") / HOSTILE.replace("/", "_"),
        problem={"data": data, "model": model, "loss": HOSTILE, "metric": HOSTILE},
        recipe={HOSTILE: {"name": HOSTILE}},
        environment={HOSTILE: HOSTILE},
        result=record.result
        | {"model": HOSTILE, "stopped": HOSTILE, "test_metric": {"name": HOSTILE, "value": 0.5}},
        layers=record.layers.with_columns(path=pl.concat_str(pl.lit(HOSTILE), "path")),
    )
    page = render(hostile)
    usual = Tree(render(record)).tags
    assert Tree(page).tags.count("script") <= usual.count("script") + 1
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_200_000_steps_and_100_classes_stay_small():
    record = made.classification(
        steps=200_000, epochs=470, classes=100, examples=50_000, accuracy=0.5, layers=40
    )
    assert len(render(record).encode()) < 1_000_000


def test_a_spike_of_one_step_is_drawn():
    record = made.classification(steps=100_000, epochs=200)
    loss = record.steps["loss"].to_numpy().copy()
    loss[54_321] = 1e6
    low = render(record)
    high = render(replace(record, steps=record.steps.with_columns(loss=pl.Series(loss))))
    assert low != high


def test_every_key_of_the_record_may_be_missing():
    record = made.classification()
    for name in ("result", "problem", "recipe", "environment"):
        for key in getattr(record, name):
            kept = {k: v for k, v in getattr(record, name).items() if k != key}
            assert "</html>" in render(replace(record, **{name: kept}))
    for table in ("steps", "evaluations", "layers", "test"):
        frame = getattr(record, table)
        assert "</html>" in render(replace(record, **{table: frame.clear()}))
        for column in frame.columns:
            assert "</html>" in render(replace(record, **{table: frame.drop(column)}))


def test_figures_that_are_not_finite_are_drawn_around():
    record = made.classification(steps=300)
    broken = {
        name: frame.with_columns(pl.selectors.float().map_batches(lambda s: s * np.nan))
        for name, frame in (
            ("steps", record.steps),
            ("evaluations", record.evaluations),
            ("layers", record.layers),
        )
    }
    for change in (*({name: frame} for name, frame in broken.items()), broken):
        assert "</html>" in render(replace(record, **change))
