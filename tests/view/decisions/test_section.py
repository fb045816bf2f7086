"""Pages and texts of figures to decide by: what they hold, also for entries of other versions."""

import copy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.insight.decisions.statements import said
from thalweg.insight.fit import fit
from thalweg.view.decisions import page
from thalweg.view.decisions.section import OTHER_VERSION, columns_of, errors_of, of_entry
from thalweg.view.decisions.text import show
from thalweg.view.report.page import render
from thalweg.view.text import plain

DRAW = np.random.default_rng(1)
ROWS = 240
SIZE, KIND = DRAW.random(ROWS) * 10, DRAW.choice(["<a>", "b"], ROWS)
SOLD = np.where(SIZE + 4 * (KIND == "b") + DRAW.normal(0, 2, ROWS) > 7, "yes", "no")
TABLE = pl.DataFrame({"size": SIZE, "kind": KIND, "sold": SOLD, "price": SIZE * 3 + DRAW.normal(0, 1, ROWS)})
OPTIONS = {"recipe": tw.Recipe(tw.AdamW(lr=1e-2), batch_size=32, steps=40), "progress": False}
OPTIONS |= {"references": False, "test": 0.5}


@pytest.fixture(scope="module")
def classes():
    return fit(TABLE, "linear", target="sold", drop=["price"], cost="fp=1,fn=3", by=["kind"], **OPTIONS)


@pytest.fixture(scope="module")
def values():
    return fit(TABLE, "linear", target="price", drop=["sold"], by=["kind"], **OPTIONS)


def test_the_report_has_curves_tables_and_errors(classes):
    shown = render(classes.record)
    for title in ("ROC curve", "Precision and recall", "Calibration", "Gains", "The cost of errors"):
        assert f"<h3>{title}</h3>" in shown, title
    assert "Thresholds for class yes" in shown and "By kind" in shown and "least cost" in shown
    assert "<h2>What the predictions rest on</h2>" in shown and "<h2>Errors worth reading</h2>" in shown
    assert OTHER_VERSION not in shown
    area = classes.result["decisions"]["classes"]["binary"]["auc"]
    assert f"ROC AUC {area:.3f}" in shown and f"Area {area:.3f}" in shown


def test_cells_cannot_act_on_the_page(classes):
    shown = render(classes.record)
    assert "&lt;a&gt;" in shown and "<a>" not in shown


def test_the_report_of_values_has_errors_by_range(values):
    shown = render(values.record)
    assert "Mean error by prediction" in shown and "Size of errors by prediction" in shown
    assert "Quantiles of the error" in shown and "ROC" not in shown and OTHER_VERSION not in shown
    grouped = values.result["decisions"]["groups"][0]["groups"]
    assert all(each["low"] <= each["rmse"] <= each["high"] for each in grouped)


def test_text_has_the_sentences_and_the_tables(classes, values):
    entry = classes.result["decisions"]
    text = "".join(plain(part) for part in show(entry))
    assert "Flagged as yes from this score on" in text and "By kind" in text and "With costs of 1" in text
    assert max(map(len, text.splitlines())) <= 80
    text = "".join(plain(part) for part in show(values.result["decisions"]))
    assert "RMSE" in text and "Errors worth reading" in text
    assert show({}) == [] and show({"skipped": "out of memory"}) == []


def test_the_page_of_an_evaluation(classes):
    scored = tw.evaluate(classes, TABLE, cost={"fp": 2, "fn": 1})
    shown = page.render(scored, classes.record, "table.csv")
    assert "table.csv" in shown and "ROC curve" in shown and "Figures of 240 rows" in shown
    assert "have the inputs and the target of a training row" in shown


def broken(entry):
    """Yield entries with a value of another type, or without one, in each of their parts."""
    for path in (
        ("classes", "binary", "roc"),
        ("classes", "by_class"),
        ("importance", "columns"),
        ("worst",),
    ):
        for value in (None, 3, "text", {}, [{}]):
            changed = copy.deepcopy(entry)
            place = changed
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
            yield path, changed


def test_an_entry_of_another_version_is_said_and_breaks_nothing(classes):
    told = 0
    for path, changed in broken(classes.result["decisions"]):
        record = replace(classes.record, result=classes.result | {"decisions": changed})
        told += OTHER_VERSION in str(of_entry(changed))
        for make in (columns_of, errors_of, said, show):
            make(changed)
        assert "</html>" in render(record), path
    assert told > 5
    assert of_entry({}) is None and "out of memory" in str(of_entry({"skipped": "out of memory"}))
    assert of_entry({"rows": "many"}) is not None and said("text") == []


def test_what_may_be_chance_is_said():
    groups = [
        {"group": "a", "rows": 20, "accuracy": 0.8, "low": 0.6, "high": 0.9},
        {"group": "b", "rows": 900, "accuracy": 0.9, "low": 0.85, "high": 0.92},
    ]
    entry = {"rows": 920, "of": 920, "groups": [{"column": "town", "threshold": None, "groups": groups}]}
    (sentence,) = said(entry)
    assert sentence.text.endswith("which may be chance.") and "80.0 % (a, 20 rows)" in sentence.text
    groups[0]["high"] = 0.84
    (sentence,) = said(entry)
    assert "chance" not in sentence.text and sentence.level == "unclear"
