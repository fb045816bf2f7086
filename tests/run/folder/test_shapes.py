"""Records with entries of other types are refused as they are read, wherever they are used."""

import json
import shutil
from pathlib import Path

import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.folder import record, sweep_record
from thalweg.run.folder.filesystem import read_json
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.shapes import check_origin

OLD = Path(__file__).parents[2] / "data" / "old_runs"


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(OLD / "fit", tmp_path / "fit"))


def changed(folder, name, path, value):
    """Change one entry of a JSON file of a run, and its checksum in run.json."""
    content = json.loads((folder / name).read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (folder / name).write_text(json.dumps(content))
    RunFile.read(folder).write_end(folder, True)


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("result.json", ["seconds"], [], "seconds is a list, not a table"),
        ("result.json", ["stopped"], {}, "stopped is a table, not text"),
        ("result.json", ["test_metric", "value"], "x", r"test_metric\.value is text, not a number"),
        ("problem.json", ["data"], [], "data is a list, not a table"),
        ("problem.json", ["data", "counts", "train"], [1], r"data\.counts\.train is a list, not a number"),
        ("problem.json", ["data", "notes"], [None], r"data\.notes\[0\] is null"),
        ("problem.json", ["model", "layers"], [[]], r"model\.layers\[0\] is a list, not a table"),
        ("environment.json", ["jax"], {}, "jax is a table"),
    ],
)
def test_an_entry_of_another_type_is_refused(run, name, path, value, words):
    changed(run, name, path, value)
    with pytest.raises(RunFolderError, match=f"must hold what a run writes; got {words}"):
        record.read(run)


@pytest.mark.parametrize("content", ["[]", "null", "1", '"x"'])
def test_another_value_than_an_object_is_refused(run, content):
    (run / "result.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"must hold what a run writes; got it is"):
        read_json(run / "result.json")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}'])
def test_json_that_breaks_a_rule_is_unreadable(run, content):
    (run / "result.json").write_text(content)
    with pytest.raises(RunFolderError, match="every file must be readable"):
        read_json(run / "result.json")


@pytest.mark.parametrize("name", ["steps.parquet", "test.parquet"])
def test_a_table_with_other_columns_is_refused(run, name):
    shutil.copy(run / "layers.parquet", run / "steps.parquet")
    (run / "test.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    if name == "test.parquet":
        shutil.copy(OLD / "fit" / "steps.parquet", run / "steps.parquet")
    RunFile.read(run).write_end(run, True)
    with pytest.raises(RunFolderError, match=r"must hold what a run writes|must be readable"):
        record.read(run)


@pytest.mark.parametrize(
    ("value", "words"), [([], r"rows\[1\]\.lane is a list"), ("x", r"rows\[1\]\.lane is text")]
)
def test_rows_of_a_sweep_are_a_table(tmp_path, value, words):
    sweep = Path(shutil.copytree(OLD / "sweep", tmp_path / "sweep"))
    changed(sweep, "sweep.json", ["rows", 1, "lane"], value)
    with pytest.raises(RunFolderError, match=words):
        sweep_record.read(sweep)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["recipes"], [1]),
        (["problem"], None),
        (["problem", "model"], []),
        (["problem", "source"], "x"),
        (["plan", "shards"], [{}]),
        (["plan", "shards", 0, "lanes"], [7]),
        (["plan", "groups"], []),
        (["plan", "layouts"], ["other"]),
        (["plan", "workers"], 0),
        (["plan", "waves"], [[3]]),
        (["halving"], []),
        (["last"], "x"),
        (["problem"], True),
        (["problem", "source", "from"], None),
        (["halving"], {"name": "x"}),
    ],
)
def test_an_origin_that_no_run_writes_is_refused(path, value):
    origin = RunFile.read(OLD / "killed").origin
    check_origin(origin, "run.json")
    inner = origin
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(RunFolderError, match="must hold what a run writes"):
        check_origin(origin, "run.json")
