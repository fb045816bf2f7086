"""The checksums in run.json: what is damaged, and what is not used because it has none."""

import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.folder import FileCheck, RunFile, check_files, read_weights

FILE, WEIGHTS = "steps.parquet", "final.safetensors"


def folder(path, listed: bool, ended: bool = True):
    """Return a folder with a table and weights, which run.json lists or not."""
    for name in (FILE, WEIGHTS):
        (path / name).write_bytes(b"first")
    RunFile("run").write(path, [FILE, WEIGHTS] if listed else [], ended)
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"First", "its bytes were changed since it was written"),
        (b"first and more", "has 14 bytes instead of 5"),
    ],
)
def test_a_file_that_was_edited_is_damaged(tmp_path, content, why):
    folder(tmp_path, listed=True)
    check_files(tmp_path, [FILE])
    assert read_weights(tmp_path, WEIGHTS) == b"first"
    for name in (FILE, WEIGHTS):
        (tmp_path / name).write_bytes(content)
    assert RunFile.read(tmp_path).check(tmp_path, FILE) == FileCheck(FILE, False, why)
    for read in (lambda: check_files(tmp_path, [FILE]), lambda: read_weights(tmp_path, WEIGHTS)):
        with pytest.raises(RunFolderError, match=f"as it was written; got {why}"):
            read()


def test_a_file_without_a_checksum_is_not_used_unasked(tmp_path):
    folder(tmp_path, listed=False)
    for read in (lambda: check_files(tmp_path, [FILE]), lambda: read_weights(tmp_path, WEIGHTS)):
        with pytest.raises(RunFolderError, match=r"unverified: has no checksum in run\.json"):
            read()
    check_files(tmp_path, [FILE], unverified=True)
    assert read_weights(tmp_path, WEIGHTS, unverified=True) == b"first"


def test_while_a_run_goes_on_its_tables_have_no_checksum_yet(tmp_path):
    check_files(folder(tmp_path, listed=False, ended=False), [FILE])


@pytest.mark.parametrize("ended", [True, False])
def test_the_last_run_json_says_whether_the_run_has_ended_and_lists_its_lanes(tmp_path, ended):
    (tmp_path / "lanes" / "000").mkdir(parents=True)
    RunFile("lane").write(tmp_path / "lanes" / "000", [])
    RunFile("run").write_end(folder(tmp_path, listed=False), ended)
    read = RunFile.read(tmp_path)
    assert read.ended is ended and set(read.files) == {FILE, WEIGHTS, "lanes/000/run.json"}
