"""Small inputs that people really have, in tests/data/cases, and what is right for each.

The right values are facts of how the files were made, as the comments say.
"""

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from tests.problem.data.given import refused
from thalweg.doors.cli import app
from thalweg.problem.data.load import load

CASES = Path(__file__).parents[2] / "data" / "cases"


def fitted(name, **options):
    return tw.fit(str(CASES / name), seed=0, ensemble=1, references=False, **options)


def test_value(run):
    return run.result["test_metric"]["value"]


test_value.__test__ = False


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("decimal_comma_class.csv", {"target": "Klasse"}, 0.95),
        ("tab_header.txt", {"target": "kind"}, 0.95),
        ("tab_no_header.txt", {"target": "4", "header": False}, 0.95),
        ("spaces_no_header.data", {"target": "4", "header": False}, 0.95),
        ("text_with_repeats.csv", {"target": "label"}, 0.88),  # 90 % where no review repeats
    ],
)
def test_classes_are_learnt(name, options, least):
    run = fitted(name, **options)
    assert run.result["test_metric"]["name"] == "accuracy" and test_value(run) >= least


@pytest.mark.parametrize(
    ("name", "target", "most"),
    [
        ("decimal_comma_number.csv", "Ertrag", 1.0),  # 2 Temperatur - 5 Feuchte + noise of 0.5
        ("index_and_number_names.csv", "3", 0.3),  # 3 x `0` + `1` + noise of 0.1
        ("year_names.csv", "2020", 0.3),
        ("dates_month_names.csv", "y", 3.0),
        ("codes_as_numbers.csv", "y", 0.5),
    ],
)
def test_values_are_learnt(name, target, most):
    run = fitted(name, target=target)
    assert run.result["test_metric"]["name"] == "rmse" and test_value(run) < most


def kinds_of(data):
    return {note.kind: note for note in data.notes}


def test_decimal_commas_and_their_separator():
    data = load(CASES / "decimal_comma_class.csv", target="Klasse")
    assert [rule.kind for rule in data.preparation.columns.rules] == ["number", "number", "category"]
    assert "with a decimal comma" in kinds_of(data)["numbers"].text


def test_a_text_file_with_a_target_is_a_table_and_the_target_is_never_ignored():
    assert load(CASES / "tab_header.txt", target="kind").outputs == 3
    with refused("must be a column of the table", "nonsense"):
        load(CASES / "tab_header.txt", target="nonsense")
    with refused("looks like a table", "target=-1"):
        load(CASES / "tab_header.txt")


@pytest.mark.parametrize("name", ["tab_no_header.txt", "spaces_no_header.data"])
def test_a_row_of_numbers_is_not_swallowed_as_names(name):
    told, found = (load(CASES / name, target="4", **options) for options in ({"header": False}, {}))
    assert told.fingerprint == found.fingerprint
    assert "holds values, not names" in kinds_of(found)["header"].text


def test_a_column_is_looked_up_by_name_and_a_nameless_one_is_an_index():
    data = load(CASES / "index_and_number_names.csv", target="3")
    assert data.preparation.target == "3" and data.preparation.columns.features == ("0", "1", "2")
    assert kinds_of(data)["id"].columns == ("index",)
    assert load(CASES / "year_names.csv", target=2020).preparation.target == "2020"


def test_text_stays_text_where_some_rows_repeat():
    data = load(CASES / "text_with_repeats.csv", target="label")
    assert [rule.kind for rule in data.preparation.columns.rules] == ["words"]


def test_the_month_comes_first_where_the_rows_then_follow_each_other():
    note = kinds_of(load(CASES / "dates_us_monthly.csv", target="sales"))["dates"]
    assert "the month first, since the rows then follow each other by month" in note.text
    assert note.change == "dates='dmy'"


def test_codes_are_categories_and_types_always_win():
    found = load(CASES / "codes_as_numbers.csv", target="y")
    told = load(CASES / "codes_as_numbers.csv", target="y", types="zip=category")
    number = load(CASES / "codes_as_numbers.csv", target="y", types={"zip": "number"})
    assert [data.preparation.columns.rules[0].kind for data in (found, told, number)] == [
        "category",
        "category",
        "number",
    ]
    assert kinds_of(found)["code"].columns == ("zip",)
    frame = pl.read_csv(CASES / "codes_as_numbers.csv").with_columns(
        pl.col("zip").cast(pl.String).cast(pl.Categorical)
    )
    assert load(frame, target="y").preparation.columns.rules[0].kind == "category"


def test_an_empty_row_is_a_row_of_missing_values(tmp_path):
    run = fitted("predict_train.csv", target="buy", epochs=1, keep=tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = tw.restore(tmp_path / "run").answers(str(CASES / "predict_empty_row.csv"))
    assert len(answers["prediction"]) == 12 and np.isfinite(answers["probability_yes"]).all()
    assert run.result["stopped"] == "epochs"


def test_all_lone_classes_are_named_with_a_way_out():
    names = [f"rare{i}" for i in range(7)]
    with refused(*names, "min_class=2"):
        load(CASES / "lone_classes.csv", target="kind")
    assert not set(names) & set(
        load(CASES / "lone_classes.csv", target="kind", min_class=2).preparation.classes
    )


def test_a_bad_cell_of_new_data_is_a_missing_value_and_said(tmp_path, capsys):
    fitted("predict_train.csv", target="buy", epochs=1, keep=tmp_path / "run")
    rows = (CASES / "predict_train.csv").read_text(encoding="utf-8").splitlines()[:101]
    rows[5] = rows[5].replace(rows[5].split(",")[3], "4x12")
    (tmp_path / "new.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.warns(tw.DataWarning, match="'income' has cells that are not numbers.*'4x12', in row 5"):
        answers = tw.restore(tmp_path / "run").answers(str(tmp_path / "new.csv"))
    assert len(answers["prediction"]) == 100
    with pytest.raises(SystemExit) as ended:
        app.app(["predict", str(tmp_path / "run"), str(tmp_path / "new.csv")])
    assert ended.value.code == 0 and "note: column 'income' has cells" in capsys.readouterr().err
