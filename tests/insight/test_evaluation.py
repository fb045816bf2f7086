"""`evaluate` and `predict` on new data: figures, classes, rows of training, columns kept; the commands."""

import io
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as peer

import thalweg as tw
from tests.doors.process import called
from thalweg.problem.calibration import Calibration
from thalweg.run.folder.folder import missing_weights

DRAW = np.random.default_rng(0)
ROWS = 160
AGE = DRAW.integers(18, 80, ROWS) + DRAW.random(ROWS).round(3)
TOWN = DRAW.choice(["Bern", "Lyon", "Ulm"], ROWS)
RICH = np.where(AGE + 20 * (TOWN == "Bern") + DRAW.standard_normal(ROWS) * 15 > 55, "yes", "no")
PEOPLE = pl.DataFrame({"id": [f"p{i}" for i in range(ROWS)], "age": AGE, "town": TOWN, "rich": RICH})
RECIPE = tw.Recipe(tw.AdamW(lr=1e-2), batch_size=16, steps=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a run on the first 120 rows, which lie beside it."""
    place = tmp_path_factory.mktemp("evaluation")
    PEOPLE[:120].write_csv(place / "people.csv")
    PEOPLE[120:].write_csv(place / "new.csv")
    tw.fit(
        place / "people.csv", target="rich", model="mlp:8", recipe=RECIPE, keep=place / "run", progress=False
    )
    return place


def test_figures_are_those_of_scikit_learn(folder):
    found = tw.evaluate(folder / "run", folder / "new.csv")
    answers = tw.restore(folder / "run").predict(PEOPLE[120:])
    target, given, share = RICH[120:], answers["prediction"], answers["probability_yes"]
    assert found.rows == 40 and found.trained_on == 0
    expected = {
        "accuracy": peer.accuracy_score(target, given),
        "balanced_accuracy": peer.balanced_accuracy_score(target, given),
        "macro_f1": peer.f1_score(target, given, average="macro"),
        "roc_auc": peer.roc_auc_score(target == "yes", share),
        "log_loss": peer.log_loss(target == "yes", share),
        "brier": peer.brier_score_loss(target == "yes", share),
    }
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-5), name
    assert next(iter(found.metrics)) == "accuracy" and not {"rmse", "top5"} & set(found.metrics)
    scores = peer.precision_recall_fscore_support(target, given, labels=["no", "yes"])
    for column, values in zip(("precision", "recall", "f1", "examples"), scores, strict=True):
        np.testing.assert_allclose(found.classes[column].to_numpy(), values)
    assert found.classes["class"].to_list() == ["no", "yes"]


def test_a_streamed_table_is_read_again_for_its_test_rows_only(folder):
    how = {"target": "rich", "model": "mlp:8", "recipe": RECIPE, "stream": True, "progress": False}
    run = tw.fit(folder / "people.csv", keep=folder / "streamed", **how)
    assert "streamed and are not held" in tw.evaluate(run, folder / "new.csv").notes[0]
    assert "streamed and are not held" in tw.evaluate(folder / "streamed", folder / "new.csv").notes[0]
    found, again = tw.evaluate(run), tw.evaluate(folder / "streamed")
    assert found.metrics == again.metrics and found.rows == again.rows > 0
    assert found.metrics["accuracy"] == pytest.approx(run.result["test_metric"]["value"])
    cells = [row["cells"] for row in found.decisions["worst"]]
    assert cells and all(each["town"] in TOWN and 18 <= each["age"] <= 81 for each in cells)


def test_rows_of_training_are_counted(folder):
    train = pl.read_csv(folder / "people.csv")
    test = pl.read_parquet(folder / "run" / "test.parquet").height
    whole = tw.evaluate(folder / "run", train)
    assert 0 < whole.trained_on <= 120 - test and "training row" in whole.notes[0]
    changed = train.with_columns(pl.col("age") + 0.5)
    assert tw.evaluate(folder / "run", changed).trained_on == 0
    other = pl.col("rich").replace_strict({"yes": "no", "no": "yes"})
    assert tw.evaluate(folder / "run", train.with_columns(other)).trained_on == 0  # another target


def test_two_kinds_of_probability_are_told_apart(folder, monkeypatch):
    trained = tw.restore(folder / "run")
    assert tw.evaluate(trained, folder / "new.csv").notes == ()
    monkeypatch.setattr(type(trained), "calibration", Calibration(100, temperature=2.0))
    found = tw.evaluate(trained, folder / "new.csv")
    assert found.decisions["classes"]["brier"] != pytest.approx(found.metrics["brier"], rel=1e-3)
    assert "brier" in found.notes[0] and "temperature of 2.00" in found.notes[0]
    assert tw.evaluate(trained).notes == found.notes


def test_values_are_scored_in_their_own_unit():
    x = DRAW.standard_normal((120, 3))
    y = x @ [300.0, -200.0, 100.0] + 5000.0
    run = tw.train(tw.Problem(tw.LinearModel(), tw.load((x, y))), RECIPE, progress=False)
    found, error = tw.evaluate(run, (x, y)), run.predict(x)["prediction"] - y
    assert found.metrics["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert found.metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert found.metrics["r2"] == pytest.approx(peer.r2_score(y, y + error), abs=1e-4)
    assert found.classes.is_empty() and found.trained_on == run.problem.data.train.count()
    with pytest.raises(tw.DataError, match="must hold targets"):
        tw.evaluate(run, x)


def test_what_is_no_run_is_named(folder, tmp_path):
    with pytest.raises(tw.RunFolderError, match="must be a folder"):
        tw.evaluate(folder / "new.csv")
    (tmp_path / "lanes" / "000").mkdir(parents=True)
    assert "name a lane, for example" in str(missing_weights(tmp_path / "final.safetensors"))


def test_data_from_memory_are_said_to_be(tmp_path):
    data = tw.load((DRAW.standard_normal((60, 2)), np.arange(60) % 2))
    tw.train(tw.Problem(tw.LinearModel(), data), RECIPE, keep=tmp_path / "run", progress=False)
    with pytest.raises(tw.DataError, match="which came from memory"):
        tw.evaluate(tmp_path / "run")


def test_columns_are_kept_beside_predictions(folder):
    trained = tw.restore(folder / "run")
    found = trained.predict(folder / "new.csv", keep=["id", "town"])
    assert list(found)[:4] == ["row", "id", "town", "prediction"]
    assert found["id"].tolist() == [f"p{i}" for i in range(120, 160)]
    assert found["row"].tolist() == list(range(40)) and set(found["prediction"]) <= {"yes", "no"}
    with pytest.raises(tw.DataError, match="must be a column"):
        trained.predict(PEOPLE, keep=["identity"])
    with pytest.raises(tw.DataError, match="name of a column of the predictions"):
        trained.predict(PEOPLE.rename({"id": "prediction"}), keep=["prediction"])


def test_what_lacks_a_target_or_has_another_is_refused(folder):
    with pytest.raises(tw.DataError, match="must have the target, column 'rich'"):
        tw.evaluate(folder / "run", PEOPLE.drop("rich"))
    with pytest.raises(tw.DataError, match="every label must occur"):
        tw.evaluate(folder / "run", PEOPLE.with_columns(rich=pl.lit("perhaps")))


def piped_in(monkeypatch, text: str) -> None:
    content = SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", content)


def test_the_commands(folder, monkeypatch):
    scored = called("evaluate", "run", "new.csv", "--json", at=folder)
    assert scored.returncode == 0, scored.stderr
    found = json.loads(scored.stdout)
    assert found["rows"] == 40 and found["metrics"] == tw.evaluate(folder / "run", folder / "new.csv").metrics
    shown = called("evaluate", "run", "people.csv", at=folder)
    assert "balanced_accuracy" in shown.stdout and "training row" in shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    own = called("evaluate", "run", "--cost", "fp=1,fn=5", "--by", "town", "--page", "own.html", at=folder)
    assert own.returncode == 0 and "By town" in own.stdout and "With costs of 1" in own.stdout, own.stderr
    assert "ROC curve" in (folder / "own.html").read_text() and "page: own.html" in own.stdout
    again = called("evaluate", "run", "--page", "own.html", at=folder)
    assert again.returncode == 2 and "--force" in again.stderr
    wrong = called("evaluate", "run", "new.csv", "--cost", "fp=1", at=folder)
    assert wrong.returncode == 2 and "--cost fp=1,fn=5" in wrong.stderr
    piped_in(monkeypatch, PEOPLE[120:].write_csv())
    predicted = called("predict", "run", "-", "--keep", "id", at=folder)
    assert predicted.stdout.splitlines()[0] == "row,id,prediction,probability_no,probability_yes"
    assert re.search(r"the data hold 'rich': accuracy \d\d\.\d+ %", predicted.stderr)
    piped_in(monkeypatch, PEOPLE[120:].drop("rich").write_csv())
    assert called("predict", "run", "-", "--keep", "id", at=folder).stdout == predicted.stdout
    piped_in(monkeypatch, "")
    assert called("predict", "run", "-", at=folder).returncode == 2


def test_a_file_that_has_changed_since_is_not_taken_for_the_training_data(folder, tmp_path):
    PEOPLE[:120].write_csv(tmp_path / "people.csv")
    where = {"target": "rich", "model": "mlp:8", "recipe": RECIPE, "progress": False}
    tw.fit(tmp_path / "people.csv", keep=tmp_path / "run", **where)
    PEOPLE[:100].write_csv(tmp_path / "people.csv")
    found = tw.evaluate(tmp_path / "run", PEOPLE[:100])
    assert found.trained_on is None and "the training data are not at hand" in found.notes[0]
