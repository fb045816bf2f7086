"""`thalweg predict` part by part: the predictions of the whole, in a file that is complete or not there."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

import thalweg as tw
import thalweg.doors.cli.predict_parts as parts_of_predict
from tests.doors.test_files import thalweg
from thalweg.core.errors import DataError
from thalweg.problem.data.chunked import delimited
from thalweg.problem.data.predict_inputs import read_parts
from thalweg.run.predicting import predict_parts

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with a run, a table as text and one in row groups of 7."""
    shutil.copytree(DATA / "old_runs" / "fit", tmp_path / "fit")
    shutil.copy(DATA / "people.csv", tmp_path)
    frame = pl.read_csv(DATA / "people.csv").with_row_index("id")
    frame.write_parquet(tmp_path / "people.parquet", row_group_size=7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(delimited, "CHUNK", 256)
    return tmp_path


def predict(*arguments):
    return thalweg("predict", "fit", *arguments)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_parts_together_are_the_predictions_of_the_whole(run, suffix, capsys):
    for name, source in (("text", "people.csv"), ("groups", "people.parquet")):
        keep = () if name == "text" else ("--keep", "id")
        assert predict(source, "--out", f"whole.{suffix}", *keep, "--force") == (0, "")
        assert predict(source, "--out", f"parts.{suffix}", *keep, "--force", "--stream") == (0, "")
        if suffix == "csv":
            assert Path("parts.csv").read_text() == Path("whole.csv").read_text()
        else:
            assert pl.read_parquet("parts.parquet").equals(pl.read_parquet("whole.parquet"))
    assert "a table that is read by parts is not scored" in capsys.readouterr().err
    table = read_parts("people.csv", tw.restore("fit").preparation, True)
    assert len(table.chunks) > 2, "one chunk would show nothing"


def test_what_does_not_fit_in_memory_is_read_by_parts(run, monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_MAX_BYTES", "5000")
    assert predict("people.csv", "--out", "new.csv", "--json") == (0, "")
    facts = json.loads(capsys.readouterr().out)
    assert (
        facts["parts"] > 2
        and facts["rows"] == pl.read_csv("people.csv").height == pl.read_csv("new.csv").height
    )
    code, said = predict("people.csv", "--out", "new.npy")
    assert code == 2 and "where the table is read by parts" in said
    code, said = predict("people.csv", "--json")
    assert code == 2 and "name a file: --out FILE" in said


def test_predictions_are_printed_part_by_part(run, capfdbinary):
    assert predict("people.csv", "--stream") == (0, "")
    parts = capfdbinary.readouterr().out
    assert predict("people.csv", "--no-stream") == (0, "")
    assert parts == capfdbinary.readouterr().out


def test_a_table_that_is_bad_in_the_middle_leaves_what_was_there(run):
    lines = Path("people.csv").read_text().splitlines()
    column = lines[0].split(",").index("age")
    for at in range(len(lines) // 2, len(lines)):
        cells = lines[at].split(",")
        cells[column] = "soon"
        lines[at] = ",".join(cells)
    Path("bad.csv").write_text("\n".join(lines) + "\n")
    Path("new.csv").write_text("before")
    code, said = predict("bad.csv", "--stream", "--out", "new.csv", "--force")
    assert code == 2 and "column 'age' must hold numbers" in said
    assert Path("new.csv").read_text() == "before"
    assert {path.name for path in run.iterdir()} == {
        "fit",
        "people.csv",
        "people.parquet",
        "bad.csv",
        "new.csv",
    }


def test_a_refusal_and_a_note_name_the_rows_of_the_table(run):
    frame = pl.read_csv("people.csv")
    trained, height = tw.restore("fit"), 40
    frame = pl.concat([frame] * 10).head(2 * height).with_columns(pl.col("age").cast(pl.String))
    ages = frame["age"].to_list()
    ages[height + 2] = "soon"
    frame.with_columns(age=pl.Series(ages)).write_parquet("some.parquet", row_group_size=height)
    parts = list(predict_parts(trained, read_parts("some.parquet", trained.preparation, True)))
    assert parts[0].notes == ()
    (note,) = parts[1].notes
    assert "'soon', in row 3 of rows 41 to 80" in note
    far = [pl.col(name) * 1e6 for name in ("age", "hours")]
    pl.read_csv("people.csv").with_columns(far).write_parquet("far.parquet", row_group_size=height)
    with pytest.raises(DataError, match="numbers of the table"):
        list(predict_parts(trained, read_parts("far.parquet", trained.preparation, True)))
    many = [*ages[:height], *["soon"] * height]
    frame.with_columns(age=pl.Series(many)).write_parquet("many.parquet", row_group_size=height)
    table = read_parts("many.parquet", trained.preparation, True)
    with pytest.raises(DataError, match="must hold numbers"):
        list(predict_parts(trained, table))


@pytest.mark.parametrize(("most", "rest"), [(2, "1 further note like these"), (3, None)])
def test_notes_on_cells_are_printed_up_to_a_number_and_then_counted(run, monkeypatch, capsys, most, rest):
    monkeypatch.setattr(parts_of_predict, "MOST_NOTES", most)
    frame = pl.concat([pl.read_csv("people.csv").with_columns(pl.col("age").cast(pl.String))] * 4).head(120)
    ages = frame["age"].to_list()
    for row in (5, 45, 85):
        ages[row] = "soon"
    frame.with_columns(age=pl.Series(ages)).write_parquet("some.parquet", row_group_size=40)
    assert predict("some.parquet", "--stream", "--out", "new.csv") == (0, "")
    said = capsys.readouterr().err
    assert said.count("'soon'") == most and ("further" in said) == (rest is not None)
    assert rest is None or rest in said


@pytest.mark.parametrize(
    ("source", "words"),
    [("iris", "read by parts"), ("lines.jsonl", "read by parts"), ("packed.csv.gz", "plain")],
)
def test_what_cannot_be_read_by_parts_is_refused(run, source, words):
    Path("lines.jsonl").write_text('{"age": 1}\n')
    Path("packed.csv.gz").write_bytes(b"\x1f\x8b")
    code, said = predict(source, "--stream")
    assert code == 2 and words in said
    code, said = predict("people.parquet", "--stream", "--keep", "nobody")
    assert code == 2 and "nobody" in said
