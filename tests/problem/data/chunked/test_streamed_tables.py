"""Tables that are read chunk by chunk: every row once, exact statistics, batches from any step on."""

from itertools import islice

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.core.errors import BadInput, DataError
from thalweg.problem.data.chunked import delimited, feeding, scan
from thalweg.problem.data.chunked.parted import TEST, TRAIN, VALIDATION, Parting

ROWS = 1200


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    number = rng.normal(5, 3, ROWS).round(3)
    kind = rng.choice(["red", "green, dark", "blue"], ROWS)
    return pl.DataFrame(
        {
            "at": np.arange(ROWS) * 0.25,  # tells the row
            "number": pl.Series(number).set(pl.Series(rng.random(ROWS) < 0.1), None),
            "kind": kind,
            "flag": rng.random(ROWS) < 0.3,
            "y": np.where(number + (kind == "blue") > 5, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def files(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    frame.write_parquet(folder / "t.parquet", row_group_size=100)
    (folder / "t.csv").write_text(frame.write_csv())
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Make chunks and buffers so small that a little table has several."""
    monkeypatch.setattr(delimited, "CHUNK", 3000)
    monkeypatch.setattr(delimited, "HEAD", 2000)
    monkeypatch.setattr(feeding, "BUFFER_ROWS", 350)
    monkeypatch.setattr(feeding, "PIECE", 64)


def load(path, **options):
    return tw.load(path, **{"target": "y", "stream": True} | options)


def problem(path):
    return tw.Problem(tw.MLP([8, 4, 2]), load(path))


def rows_of(inputs, data):
    """Return which rows inputs are, by the column that tells."""
    rule = data.preparation.columns.rules[0]
    return np.round((inputs[:, 0] * rule.scale + rule.mean) / 0.25).astype(int)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_an_epoch_has_every_training_row_once(files, frame, name):
    data = load(files / name)
    reader = data.train.reader
    parts = reader.scanned.parting.of(0, ROWS)
    assert len(reader.table.chunks) > 4 and len(reader.buffers(0)) > 2
    got = []
    for x, y in islice(reader.batches(50, 0), -(-reader.count // 50)):
        rows = rows_of(x, data)
        assert np.array_equal(np.array(data.preparation.classes)[y], frame["y"].to_numpy()[rows])
        got.append(rows)
    epoch = np.concatenate(got)[: reader.count]
    assert np.array_equal(np.sort(epoch), np.flatnonzero(parts == TRAIN))
    assert np.mean(np.abs(np.diff(epoch)) < 5) < 0.2  # mixed
    for split, part in ((data.validation, VALIDATION), (data.test, TEST)):
        assert np.array_equal(rows_of(np.asarray(split.inputs), data), np.flatnonzero(parts == part))
    assert reader.buffers(0) != reader.buffers(1)


def test_batches_can_start_anywhere(files):
    reader = load(files / "t.parquet").train.reader
    every = list(islice(reader.batches(48, 0), 60))  # three epochs
    for start in (0, 1, 17, 18, 40):
        for one, other in zip(every[start:], reader.batches(48, start), strict=False):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_statistics_are_those_of_all_training_rows(files, frame, name, monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE_ROWS", 60)
    monkeypatch.setattr(scan, "SAMPLE_CHUNKS", 3)
    data = load(files / name)
    train = frame.filter(pl.Series(data.train.reader.scanned.parting.of(0, ROWS) == TRAIN))
    at, number, kind, flag = data.preparation.columns.rules
    for rule, column in ((at, "at"), (number, "number")):
        assert rule.mean == pytest.approx(train[column].mean(), rel=1e-12)
        assert rule.scale == pytest.approx(train[column].drop_nulls().to_numpy().std(), rel=1e-12)
    assert number.flag and kind.categories == tuple(train["kind"].value_counts(sort=True)["kind"])
    assert data.preparation.classes == ("no", "yes") and flag.column == "flag"
    assert any("found from 60 rows" in note.text for note in data.notes)


def test_values_are_standardised_by_all_training_rows(files, frame):
    data = load(files / "t.parquet", target="number")
    train = frame.filter(pl.Series(data.train.reader.scanned.parting.of(0, ROWS) == TRAIN))
    assert data.preparation.target_mean == pytest.approx(train["number"].mean(), rel=1e-12)
    missing = frame["number"].null_count()
    assert any(f"{missing} of 1,200 rows have no number" in note.text for note in data.notes)
    x, y = next(data.train.reader.batches(20, 0))
    want = frame["number"].to_numpy()[rows_of(x, data)]
    assert np.allclose(
        y[:, 0] * data.preparation.target_scale + data.preparation.target_mean, want, atol=1e-5
    )


def test_what_the_sample_does_not_show_is_found(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE_CHUNKS", 1)
    late = np.arange(ROWS) >= 900
    changed = frame.with_columns(
        y=pl.Series(np.where(late & (np.arange(ROWS) % 9 == 0), "maybe", frame["y"].to_numpy())),
        kind=pl.Series(np.where(late, "violet", frame["kind"].to_numpy())),
        at=frame["at"].set(pl.Series(late), None),
    )
    path = tmp_path / "t.parquet"
    changed.write_parquet(path, row_group_size=100)
    data = load(path)
    at, _, kind, _ = data.preparation.columns.rules
    assert data.preparation.classes == ("maybe", "no", "yes")
    assert "violet" in kind.categories and at.flag


def test_numbers_that_the_sample_does_not_show_are_in_the_scale(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE_CHUNKS", 1)
    late = np.arange(ROWS) >= 900
    two = np.arange(ROWS) % 2
    changed = frame.with_columns(at=pl.Series(np.where(late, 40.0 + two, two)), number=pl.Series(two + 0.0))
    path = tmp_path / "t.parquet"
    changed.write_parquet(path, row_group_size=100)
    data = load(path)
    train = changed.filter(pl.Series(data.train.reader.scanned.parting.of(0, ROWS) == TRAIN))
    wider, two_only, *_ = data.preparation.columns.rules
    assert wider.mean == pytest.approx(train["at"].mean(), rel=1e-12)
    assert wider.scale == pytest.approx(train["at"].to_numpy().std(), rel=1e-12)
    assert (two_only.mean, two_only.scale) == (0, 1)


def test_rows_are_dealt_by_their_number():
    parting = Parting(0.2, 0.08, 3, 10**9, 10**5)
    whole = parting.of(0, 10**5)
    assert np.array_equal(whole[777:2000], parting.of(777, 1223))
    for part, share in ((TEST, 0.2), (VALIDATION, 0.08)):
        assert abs((whole == part).mean() - share) < 4 * (share * (1 - share) / 1e5) ** 0.5
    assert not np.array_equal(whole, Parting(0.2, 0.08, 4, 10**9, 10**5).of(0, 10**5))
    few = Parting(0.2, 0.08, 3, 500, 10**5).of(0, 10**5)
    assert np.array_equal(few == TRAIN, whole == TRAIN)  # the rows that are not evaluated are not trained on
    assert abs((few == TEST).sum() - 500) < 100


def test_a_run_stops_and_resumes_at_the_exact_row(files, tmp_path):
    recipe = tw.Recipe(tw.AdamW(), batch_size=48, epochs=2)

    whole = tw.train(problem(files / "t.parquet"), recipe, progress=False)
    stream = tw.stream_train(
        problem(files / "t.parquet"), recipe, keep=tw.SaveOptions(tmp_path / "run", every="10"), every=10
    )
    for status in stream:
        if status.step >= 20:
            status.stop()
    stopped = stream.result()
    assert 20 <= stopped.result["steps"] < whole.result["steps"]
    resumed = tw.resume(tmp_path / "run", progress=False)
    assert resumed.result["steps"] == whole.result["steps"] == 2 * -(-whole.problem.data.train.count() // 48)
    assert resumed.result["test_loss"] == whole.result["test_loss"]
    again = tw.restore(tmp_path / "run").predict(pl.read_parquet(files / "t.parquet").head(5))
    assert len(again["prediction"]) == 5


def test_a_table_that_does_not_fit_is_streamed(files, monkeypatch):
    whole = tw.load(files / "t.csv", target="y")
    assert not hasattr(whole.train, "reader")
    monkeypatch.setenv("THALWEG_MAX_BYTES", "100000")
    data = tw.load(files / "t.csv", target="y")
    assert data.train.reader.count and data.source["options"]["stream"] is True
    assert "does not fit in memory" in data.notes[0].text
    with pytest.raises(DataError, match="at most 100,000 bytes"):
        tw.load(files / "t.csv", target="y", stream=False)


def test_folders_of_parts_are_streamed(files, frame, tmp_path):
    for year in (2020, 2021):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        frame.write_parquet(folder / "part-0.parquet", row_group_size=500)
    data = load(tmp_path)
    year = next(rule for rule in data.preparation.columns.rules if rule.column == "year")
    assert (year.mean, year.scale) == (2020.0, 1.0)
    text = tmp_path / "text"
    text.mkdir()
    for number in (1, 2):
        (text / f"t{number}.csv").write_text(frame.write_csv())
    assert load(text).train.reader.table.count == 2 * ROWS
    (text / "t2.csv").write_text(frame.rename({"kind": "Kind"}).write_csv())
    with pytest.raises(DataError, match=r"the same names.*t2.csv"):
        load(text)


def test_quoted_line_ends_stay_in_their_cells(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f'{i * 0.5},"a,b ""c""\nline {i % 3}",{"yes" if i % 2 else "no"}' for i in range(400)]
    path.write_text("at,text,y\n" + "\n".join(rows))
    table = load(path).train.reader.table
    assert len(table.chunks) > 2
    cells = pl.concat([table.rows(i) for i in range(len(table.chunks))])["text"]
    assert cells.to_list() == [f'a,b "c"\nline {i % 3}' for i in range(400)]


def with_line(path, frame, line, at=900):
    lines = frame.write_csv().splitlines()
    path.write_text("\n".join([*lines[:at], line, *lines[at:]]) + "\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2,red,true", "4 in line 901"),
        ("1,2,red,true,yes,6", "6 in line 901"),
        ('1,2,"red,true,yes', "lone quotation mark"),
    ],
)
def test_a_line_with_another_number_of_fields_is_named(frame, tmp_path, line, words):
    path = tmp_path / "t.csv"
    with_line(path, frame, line)
    with pytest.raises(DataError, match=words):
        load(path)


def test_what_cannot_be_streamed(files, frame, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "y": 2}\n')
    with pytest.raises(DataError, match="JSON Lines are not streamed"):
        load(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match="stream is for tables"):
        tw.load("digits", stream=True)
    for options in ({"folds": 3}, {"min_class": 3}, {"split": "time"}, {"window": 3}, {"weights": "number"}):
        with pytest.raises(DataError, match="needs all rows at once"):
            load(files / "t.parquet", **options)
    titled = tmp_path / "titled.csv"
    titled.write_text("Report\n\n" + frame.write_csv())
    with pytest.raises(DataError, match="must be plain"):
        load(titled)
    recipe = tw.Recipe(tw.AdamW(), batch_size=8, epochs=1, shuffle="none")
    with pytest.raises(BadInput, match="shuffled for each epoch"):
        tw.train(problem(files / "t.parquet"), recipe)


def test_a_file_that_changes_is_refused(frame, tmp_path):
    path = tmp_path / "t.parquet"
    frame.write_parquet(path, row_group_size=100)
    reader = load(path).train.reader
    frame[:900].write_parquet(path, row_group_size=100)
    with pytest.raises(DataError, match="must not change while it is read"):
        next(reader.batches(8, 0))
