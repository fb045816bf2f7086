"""Figures to decide by of fitted runs: those of scikit-learn and of predictions for changed tables."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as peer
from sklearn.datasets import load_diabetes, load_iris

import thalweg as tw
from thalweg.insight.decisions import importance as importances
from thalweg.insight.decisions.case import case_of
from thalweg.insight.decisions.columns import columns_of
from thalweg.insight.decisions.decide import decisions
from thalweg.insight.decisions.importance import Budget, dependence, importance
from thalweg.insight.decisions.suspects import suspects
from thalweg.insight.fit import fit
from thalweg.insight.judging import resume
from thalweg.insight.summary import summarise
from thalweg.run.restore import trained_of

DRAW = np.random.default_rng(0)
ROWS = 400
AGE = DRAW.integers(18, 80, ROWS).astype(float)
TOWN = DRAW.choice(["Bern", "Lyon", "Ulm"], ROWS)
SINCE = [date(2020, 1, 1) + timedelta(days=int(day)) for day in DRAW.integers(0, 900, ROWS)]
RICH = np.where(AGE + 25 * (TOWN == "Bern") + DRAW.standard_normal(ROWS) * 12 > 58, "yes", "no")
PEOPLE = pl.DataFrame(
    {
        "age": np.where(DRAW.random(ROWS) < 0.1, np.nan, AGE),
        "town": TOWN,
        "since": SINCE,
        "secret": DRAW.choice(["a", "b"], ROWS),
        "rich": RICH,
    }
).with_columns(pl.col("age").fill_nan(None))
OPTIONS = {"recipe": tw.Recipe(tw.AdamW(lr=1e-2), batch_size=32, steps=60), "progress": False}
COST = {"fp": 1.0, "fn": 4.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run on a table of which a column is dropped, and judged by it."""
    place = tmp_path_factory.mktemp("decisions")
    PEOPLE.write_csv(place / "people.csv")
    options = {"target": "rich", "model": "mlp:8", "drop": ["secret"], "test": 0.4, "references": False}
    return fit(
        place / "people.csv", keep=place / "run", cost=COST, by=["secret", "age"], **options, **OPTIONS
    )


@pytest.fixture(scope="module")
def entry(run):
    return run.result["decisions"]


@pytest.fixture(scope="module")
def case(run):
    return case_of(trained_of(run), run.problem.data)


@pytest.fixture(scope="module")
def rows(run):
    """Return the test rows of the file, their answers, and whether each is rich."""
    table = pl.read_csv(run.problem.data.source["from"])[run.problem.data.rows["test"]]
    return table, run.predict(table), (table["rich"] == "yes").to_numpy()


def test_figures_of_two_classes_are_those_of_scikit_learn(entry, rows):
    table, answers, rich = rows
    share, binary = answers["probability_yes"], entry["classes"]["binary"]
    assert (entry["rows"], entry["of"], binary["positive"]) == (160, 160, "yes")
    expected = {
        "auc": peer.roc_auc_score(rich, share),
        "average_precision": peer.average_precision_score(rich, share),
        "share": rich.mean(),
    }
    for name, value in expected.items():
        assert binary[name] == pytest.approx(value, abs=1e-6), name
    assert entry["classes"]["brier"] == pytest.approx(peer.brier_score_loss(rich, share), abs=1e-6)
    scores = peer.precision_recall_fscore_support(table["rich"], answers["prediction"], labels=["no", "yes"])
    for name, values in zip(("precision", "recall", "f1", "rows"), scores, strict=True):
        found = [each[name] for each in entry["classes"]["by_class"]]
        np.testing.assert_allclose(found, values, atol=1e-6)
    expected = peer.confusion_matrix(table["rich"], answers["prediction"], labels=["no", "yes"])
    assert entry["classes"]["confusion"] == expected.tolist()


def test_the_cost_is_judged_on_test_rows_by_a_threshold_of_validation_rows(run, entry, rows):
    cost, (_, answers, rich) = entry["classes"]["binary"]["cost"], rows
    flagged = answers["probability_yes"] >= cost["threshold"]
    expected = np.mean((flagged & ~rich) + 4 * (~flagged & rich))
    assert cost["test"] == pytest.approx(expected, abs=1e-6)
    held = pl.read_csv(run.problem.data.source["from"])[run.problem.data.rows["validation"]]
    share, true = run.predict(held)["probability_yes"], (held["rich"] == "yes").to_numpy()
    costs = [np.mean(((share >= t) & ~true) + 4 * ((share < t) & true)) for t in np.r_[share, 2.0]]
    assert (cost["rows"], cost["validation"]) == (len(held), pytest.approx(min(costs), abs=1e-6))


def test_groups_of_a_column_that_is_no_input(entry, rows):
    table, answers, rich = rows
    grouped = entry["groups"][0]
    threshold = entry["classes"]["binary"]["cost"]["threshold"]
    assert grouped["column"] == "secret" and sum(each["rows"] for each in grouped["groups"]) == 160
    for each in grouped["groups"]:
        inside = (table["secret"] == each["group"]).to_numpy()
        share, true = answers["probability_yes"][inside], rich[inside]
        assert each["rows"] == inside.sum() and each["low"] < each["accuracy"] < each["high"]
        assert each["accuracy"] == pytest.approx(np.mean((share >= threshold) == true), abs=1e-6)
        assert each["true_positive_rate"] == pytest.approx(np.mean(share[true] >= threshold), abs=1e-6)
        assert each["false_positive_rate"] == pytest.approx(np.mean(share[~true] >= threshold), abs=1e-6)
        assert each["auc"] == pytest.approx(peer.roc_auc_score(true, share), abs=1e-6)
    ages = entry["groups"][1]["groups"]
    assert {each["group"] for each in ages} >= {"(missing)"} and len(ages) == 5


def test_importance_is_that_of_a_table_with_a_column_permuted(run, case, entry, rows):
    table, answers, rich = rows
    random = np.random.default_rng(0)
    dealt = [random.permutation(160) for _ in range(importances.REPEATS)]
    at = {True: "probability_yes", False: "probability_no"}

    def log_losses(answers):
        return np.array([-np.log(answers[at[true]][i]) for i, true in enumerate(rich)])

    before = log_losses(answers)
    found = {each["column"]: each for each in entry["importance"]["columns"]}
    assert set(found) == {"age", "town", "since"} and entry["importance"]["value"] == pytest.approx(
        before.mean(), abs=1e-6
    )
    for name, each in found.items():
        after = [log_losses(run.predict(table.with_columns(table[name][order]))) for order in dealt]
        rise = np.mean(after, axis=0) - before
        assert each["rise"] == pytest.approx(rise.mean(), abs=1e-6), name
        half = 1.97499 * rise.std(ddof=1) / np.sqrt(160)  # Student's t with 159 degrees of freedom
        assert each["high"] - each["rise"] == pytest.approx(half, rel=1e-3)
    assert [each["column"] for each in entry["importance"]["columns"]][:2] == ["age", "town"]
    assert found["age"]["low"] > 0


def test_dependence_is_the_mean_answer_with_a_column_set(run, entry, rows):
    table = rows[0]
    by_name = {each["column"]: each for each in entry["dependence"]}
    town, age = by_name["town"], by_name["age"]
    assert set(town["values"]) == {"Bern", "Lyon", "Ulm"}
    for one, name in ((town, "town"), (age, "age")):
        for at, value in enumerate(one["values"]):
            share = run.predict(table.with_columns(pl.lit(value).alias(name)))["probability_yes"]
            assert one["curves"][0]["mean"][at] == pytest.approx(share.mean(), abs=1e-5)
            assert one["curves"][0]["low"][at] == pytest.approx(np.quantile(share, 0.1), abs=1e-5)
    present = set(table["age"].drop_nulls().to_list())
    assert set(age["values"]) <= present and one["rows"] == 160
    assert min(age["values"]) > min(present) and max(age["values"]) < max(present)


def test_errors_worth_reading_are_the_surest_wrong_rows_of_the_file(run, entry, rows):
    whole = pl.read_csv(run.problem.data.source["from"])
    answers = run.predict(whole)
    wrong = answers["prediction"] != whole["rich"].to_numpy()
    sure = np.maximum(answers["probability_yes"], answers["probability_no"])
    assert len(entry["worst"]) == 10
    for each in entry["worst"]:
        at = each["row"]
        assert wrong[at] and each["confidence"] == pytest.approx(sure[at], abs=1e-6)
        assert each["target"] == whole["rich"][at] and each["cells"]["town"] == whole["town"][at]
        assert next(iter(each["cells"])) == "age" and "secret" not in each["cells"]
    taken = wrong[run.problem.data.rows["test"]]
    best = np.sort(sure[run.problem.data.rows["test"]][taken])[::-1][:10]
    np.testing.assert_allclose([each["confidence"] for each in entry["worst"]], best, atol=1e-6)


def test_a_date_is_shown_as_one_and_stays_within_those_seen(run, case):
    column = next(each for each in columns_of(run.problem.data.preparation) if each.name == "since")
    days = {date.fromisoformat(value) for value, _ in column.grid(case.inputs)}
    assert len(days) > 5 and days <= set(SINCE)


def test_the_run_folder_holds_them_and_a_resumed_run_gets_its_own(run, tmp_path):
    assert tw.read(run.folder).result["decisions"] == run.result["decisions"]
    more = resume(
        run.folder,
        run.problem,
        change=tw.Change(steps=80, schedule="stretch", out=tmp_path / "more"),
        progress=False,
    )
    assert more.result["decisions"]["classes"]["binary"]["cost"]["fn"] == 4.0
    assert [each["column"] for each in more.result["decisions"]["groups"]] == ["secret", "age"]
    assert "references" not in more.result
    kinds = {each.kind for each in summarise(run.record).statements}
    assert {"ranking", "cost", "importance", "groups"} <= kinds


def test_the_same_figures_later_and_for_another_file(run, entry):
    again = tw.evaluate(run.folder, cost=COST, by=["secret", "age"])
    assert again.decisions == {key: value for key, value in entry.items() if key != "seconds"}
    assert again.rows == 160 and again.metrics["roc_auc"] == pytest.approx(
        again.decisions["classes"]["binary"]["auc"]
    )
    table = PEOPLE.with_columns(rich=pl.when(pl.arange(0, ROWS) < 5).then(None).otherwise(pl.col("rich")))
    other = tw.evaluate(run, table, cost="fp=1,fn=4", by=["town"]).decisions
    assert [each["column"] for each in other["groups"]] == ["town"]
    assert other["split"] == "data" and other["rows"] == ROWS - 5
    cost = entry["classes"]["binary"]["cost"]
    assert other["classes"]["binary"]["cost"]["threshold"] == cost["threshold"]
    assert all(RICH[each["row"]] == each["target"] for each in other["worst"])  # rows of the table as given


@pytest.fixture(scope="module")
def values():
    """Return a run on values, and its answers for the test rows."""
    x, y = load_diabetes(return_X_y=True)
    run = fit((x, y), model="linear", references=False, test=0.4, **OPTIONS)
    rows = run.problem.data.rows["test"]
    return run, run.predict(x[rows])["prediction"], y[rows], rows


def test_figures_of_values(values):
    run, predicted, target, rows = values
    entry, error = run.result["decisions"], predicted - target
    found = entry["values"]
    assert found["rmse"] == pytest.approx(peer.root_mean_squared_error(target, predicted), rel=1e-6)
    assert found["mae"] == pytest.approx(peer.mean_absolute_error(target, predicted), rel=1e-6)
    assert found["r2"] == pytest.approx(peer.r2_score(target, predicted), abs=1e-6)
    for each in found["quantiles"]:
        assert each["error"] == pytest.approx(np.quantile(error, each["level"]), rel=1e-5)
    assert sum(each["rows"] for each in found["ranges"]) == len(target) and len(found["ranges"]) == 8
    for each in found["ranges"]:
        inside = (predicted >= each["from"] - 1e-3) & (predicted <= each["to"] + 1e-3)
        assert each["rmse"] == pytest.approx(np.sqrt(np.mean(error[inside] ** 2)), rel=1e-4)
        assert each["low"] < each["bias"] < each["high"]
    worst = entry["worst"][0]
    assert abs(worst["error"]) == pytest.approx(np.abs(error).max(), rel=1e-6)
    assert worst["row"] == rows[np.abs(error).argmax()] and worst["cells"]["input 2"] == pytest.approx(
        load_diabetes().data[worst["row"], 2], rel=1e-4
    )


def test_importance_of_values_is_in_the_unit_of_the_target(values):
    run, predicted, target, rows = values
    entry = run.result["decisions"]["importance"]
    assert entry["metric"] == "rmse"
    each = entry["columns"][0]
    place = int(each["column"].removeprefix("input "))
    x = load_diabetes().data[rows]
    random, errors = np.random.default_rng(0), []
    for _ in range(importances.REPEATS):
        changed = x.copy()
        changed[:, place] = x[random.permutation(len(x)), place]
        errors.append((run.predict(changed)["prediction"] - target) ** 2)
    rise = np.sqrt(np.mean(errors)) - np.sqrt(np.mean((predicted - target) ** 2))
    assert each["rise"] == pytest.approx(rise, rel=1e-4)


def test_figures_of_several_classes_are_those_of_scikit_learn():
    x, y = load_iris(return_X_y=True)
    run = fit((x, y), model="linear", references=False, test=0.4, **OPTIONS)
    rows, entry = run.problem.data.rows["test"], run.result["decisions"]["classes"]
    answers = run.predict(x[rows])
    shares = np.stack([answers[f"probability_{i}"] for i in range(3)], axis=1)
    assert entry["macro_auc"] == pytest.approx(
        peer.roc_auc_score(y[rows], shares / shares.sum(axis=1, keepdims=True), multi_class="ovr"), abs=1e-6
    )
    expected = np.mean(np.sum((shares - np.eye(3)[y[rows]]) ** 2, axis=1))
    assert entry["brier"] == pytest.approx(expected, abs=1e-6)
    assert [each["class"] for each in entry["curves"]] == ["0", "1", "2"] and "binary" not in entry
    assert run.result["decisions"]["suspects"] == []  # two petal columns say much, not one alone
    with pytest.raises(tw.BadInput, match="two classes"):
        tw.evaluate(run, (x, y), cost="fp=1,fn=2")


def test_a_leak_that_is_no_copy_is_suspected():
    late = np.where(RICH == "yes", DRAW.normal(3, 0.8, ROWS), DRAW.normal(-3, 0.8, ROWS))
    late[:4] = -late[:4]  # not exact
    table = PEOPLE.with_columns(refund=pl.Series(late))
    longer = OPTIONS | {"recipe": tw.Recipe(tw.AdamW(lr=3e-2), batch_size=32, steps=150)}
    run = fit(table, "linear", target="rich", test=0.4, references=False, **longer)
    (found,) = run.result["decisions"]["suspects"]
    assert found["column"] == "refund" and found["alone"] >= 0.95 * found["network"] > 0.8
    assert found["split"].startswith("refund is at most ")
    assert abs(float(found["split"].split()[-1])) < 2.5
    assert "known at prediction time" in next(
        each.text for each in summarise(run.record).statements if each.kind == "leak"
    )


def test_a_column_that_the_network_makes_no_more_of_is_none(run, case):
    assert suspects(case, run.problem.data) == []  # age says much, and the network far more than it


def test_only_columns_whose_importance_is_beyond_chance_are_followed(case):
    given = {
        "columns": [{"column": "town", "rise": 0.2, "low": -0.1}, {"column": "age", "rise": 0.1, "low": 0.05}]
    }
    assert [each["column"] for each in dependence(case, given, Budget(10**6))] == ["age"]


def test_what_would_take_long_is_sampled_or_left_out(case):
    columns = len(case.columns)
    few = importance(case, Budget(importances.REPEATS * columns * 80))
    assert few["rows"] == 60 and few["of"] == 160
    none = importance(case, Budget(importances.REPEATS * columns * 40))
    assert "more than a tenth" in none["skipped"] and dependence(case, none, Budget(10**6)) == []


def test_more_columns_than_a_batch_give_the_same(case, monkeypatch):
    whole = importance(case, Budget(10**6))
    monkeypatch.setattr(importances, "BATCH", 1)
    alone = importance(case, Budget(10**6))
    assert [each["column"] for each in alone["columns"]] == [each["column"] for each in whole["columns"]]
    assert alone["columns"][0]["rise"] == pytest.approx(whole["columns"][0]["rise"], abs=1e-6)


def test_scores_that_are_no_probabilities_have_no_calibration(case):
    scores = replace(case.answers, shares=None, scores=case.answers.scores)
    entry = decisions(replace(case, answers=scores), None, None, ["town"])
    assert "calibration" not in entry["classes"] and entry["importance"]["metric"] == "error_rate"
    auc = decisions(case, None)["classes"]["binary"]["auc"]
    assert entry["classes"]["binary"]["auc"] == pytest.approx(auc, abs=1e-6)


def test_an_ensemble_is_judged_with_its_temperature_and_out_of_fold():
    model = tw.Tabular((None, 8, None), embedding="none")
    options = {"target": "rich", "ensemble": 2, "test": 0.4, "references": False, "cost": "fp=1,fn=2"}
    run = fit(PEOPLE, model, **options, **OPTIONS)
    table = PEOPLE[run.problem.data.rows["test"]]
    share, rich = run.predict(table)["probability_yes"], (table["rich"] == "yes").to_numpy()
    found = run.result["decisions"]["classes"]
    assert abs(run.result["calibration"]["temperature"] - 1) > 0.01
    assert found["brier"] == pytest.approx(peer.brier_score_loss(rich, share), abs=1e-6)
    assert found["binary"]["cost"]["rows"] == 240  # every row that is not for the test


def test_answers_that_are_no_numbers_have_no_figures(case):
    lost = replace(case.answers, shares=np.full_like(case.answers.shares, np.nan))
    assert "not finite" in decisions(replace(case, answers=lost), None)["skipped"]


def test_where_figures_mean_nothing_there_are_none(tmp_path):
    (tmp_path / "text.txt").write_text("abc abd " * 60)
    recipe = tw.Recipe(tw.AdamW(), batch_size=8, steps=2)
    text = fit(tmp_path / "text.txt", "gru:4", recipe, context=8, progress=False)
    assert "decisions" not in text.result


@pytest.mark.parametrize(
    "options, word",
    [
        ({"cost": "fp=1"}, "false negatives"),
        ({"by": ["twon"]}, "did you mean"),
        ({"folds": 3, "by": ["town"]}, "folds"),
        ({"weights": "age", "cost": COST}, "count the same"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_training(options, word):
    table = PEOPLE.with_columns(age=pl.Series(AGE))
    with pytest.raises((tw.BadInput, tw.DataError), match=word):
        fit(table, "linear", target="rich", **options, **OPTIONS)
