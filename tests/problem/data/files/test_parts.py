"""Tables in several files, JSON Lines, and what is piped in."""

import gzip
import io
import json

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.core.errors import DataError

FRAME = pl.DataFrame(
    {
        "size": [i * 0.5 for i in range(60)],
        "kind": ["a", "b", "c"] * 20,
        "y": [i % 7 * 1.5 for i in range(60)],
    }
)


def lines(frame: pl.DataFrame) -> str:
    return "".join(json.dumps(row) + "\n" for row in frame.to_dicts())


def parts(folder, suffix=".csv", count=3, write=None):
    folder.mkdir(parents=True, exist_ok=True)
    rows = FRAME.height // count
    paths = []
    for i in range(count):
        path = folder / f"part-{i + 9}{suffix}"  # 9, 10, 11: natural order is not that of text
        part = FRAME[i * rows : (i + 1) * rows]
        if suffix == ".parquet":
            part.write_parquet(path)
        else:
            path.write_text(part.write_csv() if suffix == ".csv" else lines(part))
        paths.append(path)
    return paths


def inputs_of(source, **options):
    data = tw.load(source, target="y", test=0.0, validation=0.0, **options)
    return np.asarray(data.train.inputs), np.asarray(data.train.targets)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_parts_are_read_as_the_whole(tmp_path, suffix):
    whole = tmp_path / "whole.parquet"
    FRAME.write_parquet(whole)
    paths = parts(tmp_path / "parts", suffix)
    expected = inputs_of(whole)
    for source in (paths, [str(p) for p in paths], str(tmp_path / "parts" / "part-*"), tmp_path / "parts"):
        assert same(inputs_of(source), expected), source


def test_the_order_of_a_list_is_kept(tmp_path):
    paths = parts(tmp_path)
    x, y = inputs_of(paths[::-1])
    expected = pl.concat([FRAME[40:], FRAME[20:40], FRAME[:20]])
    assert same((x, y), inputs_of(expected))


def test_compressed_lines_and_missing_names(tmp_path):
    path = tmp_path / "x.ndjson.gz"
    rows = ['{"size": 1, "y": 0}', "", '{"size": 2.5, "kind": "b", "y": 1}'] * 20
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    data = tw.load(path, target="y", task="classification")
    assert data.preparation.columns.names == ("size", "y", "kind")
    assert any("kind 50.0%" in note.text for note in data.notes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"size": 1, "y": ', ("line 3", "cut or damaged")),
        ("[1, 2]", ("line 3", "must be a JSON object")),
        ('{"size": 1}{"size": 2}', ("line 3", "Extra data")),
        ('{"size": ' + "[" * 100000, ("line 3", "nested too deeply")),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, words):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"size": 1, "y": 2}}\n\n{line}\n')
    with pytest.raises(DataError) as error:
        tw.load(path, target="y")
    for word in words:
        assert word in str(error.value)


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    with pytest.raises(DataError, match="line 2"):
        tw.load(path, target="a")


def test_nested_objects_become_columns(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [
        {"at": {"x": i * 1.5, "y": i % 3}, "v": [i * 0.5, i % 4], "tags": ["a"] * (i % 3), "y": i % 2}
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = tw.load(path, target="y", task="classification")
    assert [rule.column for rule in data.preparation.columns.rules] == ["at.x", "at.y", "v_0", "v_1"]
    assert any("tags holds" in note.text for note in data.notes)


def test_values_of_several_types_are_text_and_said(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        "".join(f'{{"a": {v}, "y": {i % 2}}}\n' for i, v in enumerate(['"x"', "1", "true", "2"] * 10))
    )
    data = tw.load(path, target="y", task="classification")
    assert any("a holds numbers and text and true or false" in note.text for note in data.notes)


def faulty(folder, fault):
    paths = parts(folder)
    fault(paths)
    return paths


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda p: p[1].write_text(""), ("part-10.csv", "an empty file")),
        (lambda p: p[1].write_text("size,kind,y\n"), ("part-10.csv", "at least one row")),
        (lambda p: p[1].write_text("size,y\n1,2\n"), ("part-10.csv", "no column kind")),
        (lambda p: p[1].write_text("size,Kind,y\n1,a,2\n"), ("part-10.csv", "no column kind", "'Kind'")),
        (lambda p: p[1].write_text("size,kind,y,z\n1,a,2,3\n"), ("part-10.csv", "also z")),
        (lambda p: p[1].write_text("0.5,a,2\n1.5,b,3\n"), ("part-10.csv", "no line of names")),
        (lambda p: p[1].unlink(), ("part-10.csv", "every file must exist", "part-11.csv")),
    ],
)
def test_a_part_that_does_not_fit_is_named(tmp_path, fault, words):
    with pytest.raises(DataError) as error:
        tw.load(faulty(tmp_path, fault), target="y")
    for word in words:
        assert word in str(error.value)


def test_columns_in_another_order_are_joined_by_name(tmp_path):
    paths = parts(tmp_path)
    paths[1].write_text(FRAME[20:40].select("y", "size", "kind").write_csv())
    assert same(inputs_of(paths), inputs_of(FRAME))
    data = tw.load(paths, target="y")
    assert any(
        "part-10.csv has the columns of part-9.csv in another order" in note.text for note in data.notes
    )


def test_types_that_differ_between_parts(tmp_path):
    folder = tmp_path / "parquet"
    paths = parts(folder, ".parquet")
    FRAME[20:40].with_columns(pl.col("size").cast(pl.Float32)).write_parquet(paths[1])
    assert same(inputs_of(paths), inputs_of(FRAME))
    FRAME[20:40].with_columns(pl.col("size").cast(pl.String)).write_parquet(paths[1])
    with pytest.raises(DataError, match=r"column 'size' must have one type in all parts.*String in part-10"):
        tw.load(paths, target="y")
    text = parts(tmp_path / "text")
    text[1].write_text(FRAME[20:40].with_columns(size=pl.lit("low")).write_csv())
    notes = " ".join(note.text for note in tw.load(text, target="y").notes)
    assert "size holds numbers in part-9.csv and none in part-10.csv" in notes


def test_partitions_are_columns(tmp_path):
    for year in (2020, 2021):
        for place in ("x y", None):
            folder = tmp_path / f"year={year}" / f"place={'x%20y' if place else '__HIVE_DEFAULT_PARTITION__'}"
            parts(folder, ".parquet", count=1)
    (tmp_path / "_SUCCESS").write_text("")
    data = tw.load(tmp_path, target="y")
    assert [rule.column for rule in data.preparation.columns.rules] == ["size", "kind", "year", "place"]
    FRAME.write_parquet(tmp_path / "year=2020" / "odd.parquet")
    with pytest.raises(DataError, match="the same partitions"):
        tw.load(tmp_path, target="y")


def test_folders_that_are_something_else(tmp_path):
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text(FRAME.write_csv())
    with pytest.raises(DataError, match="splits of a set"):
        tw.load(tmp_path, target="y")
    with pytest.raises(DataError, match="fit a file"):
        tw.load(str(tmp_path / "part*.csv"), target="y")
    (tmp_path / "other.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="one format"):
        tw.load([tmp_path / "train.csv", tmp_path / "other.parquet"], target="y")
    with pytest.raises(DataError, match="given once"):
        tw.load([tmp_path / "train.csv", tmp_path / "train.csv"], target="y")


@pytest.mark.parametrize(
    "content",
    [
        FRAME.write_csv().encode(),
        FRAME.write_csv(separator="\t").encode(),
        lines(FRAME).encode(),
        gzip.compress(lines(FRAME).encode()),
        (lambda file: (FRAME.write_parquet(file), file.getvalue())[1])(io.BytesIO()),
    ],
    ids=["csv", "tsv", "jsonl", "jsonl.gz", "parquet"],
)
def test_standard_input_and_open_files(monkeypatch, content):
    expected = inputs_of(FRAME)
    assert same(inputs_of(io.BytesIO(content)), expected)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    data = tw.load("-", target="y")
    assert data.name == "standard-input" and data.source["from"] == "in memory"


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "nothing"), (b" \n", "nothing"), (b'[{"a": 1}]', "a JSON list")]
)
def test_what_cannot_be_piped_in(monkeypatch, content, words):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(DataError, match=words):
        tw.load("-", target="y")


def test_runs_on_parts_and_on_standard_input_resume(tmp_path, monkeypatch):
    paths = parts(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate((paths, "in/part-*.csv", "in", io.BytesIO(FRAME.write_csv().encode()))):
        folder = tmp_path / f"run{number}"
        run = tw.fit(source, "mlp:4", target="y", epochs=1, keep=folder, progress=False, references=False)
        monkeypatch.chdir(tmp_path / "in")  # paths must be absolute
        longer = tw.resume(folder, change=tw.Change(epochs=2, schedule="stretch"), progress=False)
        assert longer.result["steps"] == 2 * run.result["steps"]
        monkeypatch.chdir(tmp_path)
