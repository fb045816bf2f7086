"""What commands read and write: nothing outside the folder, nothing unverified, and nothing that is lost."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

import thalweg as tw
from thalweg.core import disk
from thalweg.core.caller import command_line
from thalweg.core.errors import ThalwegError
from thalweg.doors.cli.app import app
from thalweg.doors.cli.outfile import check_out, write_out
from thalweg.run.folder.claim import writable
from thalweg.run.folder.filesystem import seal, unseal
from thalweg.run.folder.folder import RunFile

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Return a copy of a run and of a sweep, which is also where commands are called."""
    shutil.copytree(DATA / "old_runs", tmp_path, dirs_exist_ok=True)
    shutil.copy(DATA / "people.csv", tmp_path)
    sweep = RunFile.read(tmp_path / "sweep")
    RunFile(sweep.run, sweep.origin).write_end(tmp_path / "sweep", True)  # as sweeps are written now
    monkeypatch.chdir(tmp_path)
    return tmp_path


def thalweg(*arguments):
    """Call the command in this process; return its exit code and the error's message."""
    before, sys.argv = sys.argv, ["thalweg", *map(str, arguments)]
    try:
        with command_line():
            return app(standalone_mode=False) or 0, ""
    except ThalwegError as error:
        return 2, str(error)
    finally:
        sys.argv = before


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def rewrite(folder, name, change):
    """Change a JSON file of a run as somebody would who also corrects its checksum."""
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value))
    before = RunFile.read(folder)
    RunFile(before.run, before.origin).write(folder, before.files, before.ended)


def checked(folder, capsys):
    """Return the exit code of `check`, and what it says about each file that is not sound."""
    capsys.readouterr()
    code, _ = thalweg("check", folder, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] == (code == 0)
    return code, {each["name"]: each["why"] for each in found["findings"] if each["sound"] is not True}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("report", "fit"), "report.html"),
        (("report", "sweep"), "report.html"),
        (("predict", "fit", "people.csv", "--force", "--out", "fit/new.csv"), "new.csv"),
        (("data", "people.csv", "--force", "--page", "fit/page.html"), "page.html"),
    ],
)
def test_a_planted_link_is_refused_and_its_target_untouched(runs, command, name):
    victim = runs / "victim"
    victim.write_text("mine")
    folder = runs / ("sweep" if "sweep" in command else "fit")
    (folder / f".{name}.part").symlink_to(victim)  # the temporary name of earlier versions
    assert thalweg(*command)[0] == 0
    assert victim.read_text() == "mine" and not (folder / name).is_symlink()
    (folder / name).unlink()
    (folder / name).symlink_to(victim)
    code, said = thalweg(*command)
    assert code == 2 and "is a symbolic link" in said
    assert victim.read_text() == "mine" and (folder / name).is_symlink()


@pytest.mark.parametrize("named", ["../other/evil", "/tmp/evil", "..", ["best"], "final.safetensors"])
def test_weights_of_another_name_are_not_opened(runs, named):
    (runs / "other").mkdir()
    shutil.copy(runs / "fit" / "final.safetensors", runs / "other" / "evil.safetensors")
    rewrite(runs / "fit", "result.json", lambda value: value.update(weights=named))
    code, said = thalweg("predict", "fit", "people.csv")
    rule = "must hold what a run writes" if isinstance(named, list) else "must name weights of the run"
    assert code == 2 and rule in said
    with pytest.raises(tw.BadInput, match=f"best or final|{rule}"):
        tw.restore(runs / "fit", weights=str(named))


@pytest.mark.parametrize("name", ["problem.json", "result.json", "recipe.toml", "steps.parquet", "run.json"])
def test_a_file_that_is_a_link_out_of_the_folder_is_not_read(runs, name, capsys):
    shutil.move(runs / "fit" / name, runs / "outside")
    (runs / "fit" / name).symlink_to(runs / "outside")
    for command in (("show", "fit"), ("predict", "fit", "people.csv"), ("report", "fit")):
        code, said = thalweg(*command)
        assert code == 2 and "is a symbolic link" in said, said
    assert "link" in " ".join(checked("fit", capsys)[1].values())


def test_lanes_are_not_looked_for_outside_the_sweep(runs, capsys):
    shutil.move(runs / "sweep" / "lanes" / "001", runs / "outside")
    (runs / "sweep" / "lanes" / "001").symlink_to(runs / "outside")
    for command in (("show", "sweep"), ("predict", "sweep/lanes/001", "iris")):
        code, said = thalweg(*command)
        assert code == 2 and "is a symbolic link" in said, said
    code, wrong = checked("sweep", capsys)
    assert code == 3 and "is a symbolic link" in wrong["lanes/001"]


@pytest.mark.parametrize("named", ["../../fit", "/etc", "model-0/lanes/../../../fit"])
def test_a_table_that_names_other_folders_is_refused(runs, named):
    rewrite(runs / "sweep", "sweep.json", lambda value: value["rows"][0].update(folder=named))
    with pytest.raises(tw.RunFolderError, match="must name lanes of its own folder"):
        __import__("thalweg.run.folder.sweep_record", fromlist=["read"]).read(runs / "sweep").lane(0)


def test_check_notices_a_lane_that_is_gone_or_has_no_record(runs, capsys):
    assert checked("sweep", capsys) == (0, {})
    shutil.move(runs / "sweep" / "lanes" / "002", runs / "gone")
    assert checked("sweep", capsys)[1].keys() == {"lanes/002/run.json"}
    code, said = thalweg("show", "sweep")
    assert code == 2 and "lanes/002/run.json" in said and "no such file" in said
    shutil.move(runs / "gone", runs / "sweep" / "lanes" / "002")
    (runs / "sweep" / "lanes" / "001" / "run.json").unlink()
    flip(runs / "sweep" / "lanes" / "001" / "final.safetensors")
    code, wrong = checked("sweep", capsys)
    assert code == 3 and wrong.keys() == {"lanes/001/run.json"}


def test_check_of_an_older_sweep_finds_its_lanes_in_the_table(runs, capsys):
    shutil.copy(DATA / "old_runs" / "sweep" / "run.json", runs / "sweep")  # lists no lane
    assert checked("sweep", capsys) == (0, {})
    (runs / "sweep" / "lanes" / "001" / "run.json").unlink()
    code, wrong = checked("sweep", capsys)
    assert code == 3 and wrong.keys() == {"lanes/001/run.json"}
    shutil.rmtree(runs / "sweep" / "lanes" / "003")
    code, wrong = checked("sweep", capsys)
    assert code == 3 and wrong.keys() == {"lanes/001/run.json", "lanes/003/run.json"}


@pytest.mark.parametrize("folder", ["fit", "sweep/lanes/001"])
def test_weights_with_a_flipped_bit_are_not_used(runs, folder, capsys):
    data = "people.csv" if folder == "fit" else "iris"
    for name in ("final.safetensors", "best.safetensors"):
        flip(runs / folder / name)
    for command in (("predict", folder, data), ("show", folder), ("report", folder)):
        code, said = thalweg(*command, "--unverified")
        assert code == 2 and "its bytes were changed" in said
    with pytest.raises(tw.RunFolderError, match="its bytes were changed"):
        tw.train(tw.Problem(None, tw.load("iris")), tw.Recipe(steps=1, batch_size=8), init=runs / folder)
    assert checked(folder, capsys)[0] == 3


def test_a_folder_without_checksums_is_unverified(runs, capsys):
    (runs / "fit" / "run.json").unlink()
    (runs / "sweep" / "run.json").unlink()
    predict = ("predict", "fit", "people.csv", "--out", "answers-2.csv")
    for command in (
        predict,
        ("show", "fit"),
        ("report", "fit"),
        ("compare", "fit", "fit"),
        ("show", "sweep"),
    ):
        code, said = thalweg(*command)
        assert code == 2 and "unverified: no run.json" in said and "--unverified" in said, said
        assert thalweg(*command, "--unverified")[0] == 0, command
    assert (runs / "answers-2.csv").exists()
    code, wrong = checked("fit", capsys)
    assert code == 3 and "unverified" in wrong["run.json"]
    with pytest.raises(tw.RunFolderError, match="copy the file out of the folder"):
        tw.train(tw.Problem(None, tw.load("iris")), tw.Recipe(steps=1, batch_size=8), init=runs / "fit")
    for read in (tw.read, tw.restore, tw.render):
        with pytest.raises(tw.RunFolderError, match="unverified=True"):
            read(runs / "fit")
        read(runs / "fit", unverified=True)


def test_weights_that_the_record_of_a_run_does_not_list_are_unverified(runs):
    before = RunFile.read(runs / "fit")
    names = [name for name in before.files if not name.endswith(".safetensors")]
    RunFile(before.run, before.origin).write(runs / "fit", names)  # as of a run that has not ended
    code, said = thalweg("predict", "fit", "people.csv")
    assert code == 2 and "unverified: has no checksum" in said
    assert thalweg("show", "fit")[0] == 0  # a run can be watched while it trains


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_predictions_replace_a_file_whole_and_only_by_force(runs, suffix, monkeypatch):
    command = ("predict", "fit", "people.csv", "--out", f"out.{suffix}")
    out = runs / f"out.{suffix}"
    assert thalweg(*command)[0] == 0
    good = out.read_bytes()
    code, said = thalweg(*command)
    assert code == 2 and "must not exist already" in said and "--force" in said

    def full(descriptor, data):
        os.write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(disk.DISK, "write", full)
        code, said = thalweg(*command, "--force")
    assert code == 2 and "No space left" in said
    assert out.read_bytes() == good and not disk.left_over(runs)
    assert thalweg(*command, "--force")[0] == 0 and out.read_bytes() == good


def test_a_file_that_another_process_made_meanwhile_is_not_overwritten(tmp_path):
    check_out(tmp_path / "out.csv", force=False)
    (tmp_path / "out.csv").write_text("of another")
    with pytest.raises(tw.BadInput, match="must not exist already"):
        write_out(tmp_path / "out.csv", b"ours", force=False)
    assert (tmp_path / "out.csv").read_text() == "of another"
    write_out(tmp_path / "out.csv", b"ours", force=True)
    assert (tmp_path / "out.csv").read_bytes() == b"ours"


@pytest.mark.parametrize("out", ["people.csv", "./fit/../people.csv", "linked.csv", "same.csv"])
def test_the_input_is_never_overwritten(runs, out):
    before = (runs / "people.csv").read_bytes()
    (runs / "linked.csv").symlink_to("people.csv")
    os.link(runs / "people.csv", runs / "same.csv")
    for command in (("predict", "fit", "people.csv", "--out"), ("data", "people.csv", "--page")):
        code, said = thalweg(*command, out, "--force")
        assert code == 2 and "must not be the file that is read" in said
    assert (runs / "people.csv").read_bytes() == before


def test_a_report_replaces_its_own_page_and_nothing_else(runs):
    assert thalweg("report", "fit")[0] == thalweg("report", "fit")[0] == 0
    assert thalweg("report", "fit", "--out", "fit/report.html")[0] == 0
    assert thalweg("report", "fit", "--out", "page.html")[0] == 0
    assert thalweg("report", "fit", "--out", "page.html")[0] == 2
    assert thalweg("report", "fit", "--out", "page.html", "--force")[0] == 0
    for name in ("fit/result.json", "sweep/run.json", "fit/steps.parquet"):
        before = (runs / name).read_bytes()
        code, said = thalweg("report", "fit", "--out", name, "--force")
        assert code == 2 and "belongs to a run" in said and (runs / name).read_bytes() == before
    code, said = thalweg("report", "fit", "--out", "nowhere/page.html")
    assert code == 2 and "mkdir -p nowhere" in said


def test_a_run_resumes_where_its_data_are_now(runs, capsys):
    with pytest.raises(tw.DataError, match="data="):  # the folder was written elsewhere
        tw.resume(runs / "fit")
    code, said = thalweg("resume", "fit")
    assert code == 2 and "--data NEW" in said
    changed = pl.read_csv(runs / "people.csv").reverse()
    changed.write_csv(runs / "other.csv")
    code, said = thalweg("resume", "fit", "--data", "other.csv")
    assert code == 2 and "must be those that the run was started with" in said
    extended = ("--epochs", 13, "--schedule", "stretch", "-q")
    assert thalweg("resume", "fit", "--data", "people.csv", *extended) == (0, "")
    assert tw.read(runs / "fit").result["epochs"] == 13
    origin = unseal((runs / "fit" / "run.json").read_bytes(), "")["origin"]
    assert origin["problem"]["source"]["from"] == str(runs / "people.csv")


def test_hints_do_not_propose_to_resume_what_was_never_saved(runs, capsys):
    folder = runs / "killed-early"
    folder.mkdir()
    shutil.copy(runs / "fit" / "problem.json", folder)
    thalweg("check", folder)
    said = capsys.readouterr().out
    assert "start it again" in said and "thalweg resume" not in said
    for name, hint in (("problem.json", "nothing was saved yet"), ("run.json", "thalweg resume")):
        shutil.copy(runs / "fit" / name, folder)
        with command_line(), pytest.raises(tw.RunFolderError, match=hint), writable(folder):
            raise OSError(errno.ENOSPC, "No space left")
    shutil.rmtree(runs / "fit" / "checkpoints")
    flip(runs / "fit" / "final.safetensors")
    code, said = thalweg("predict", "fit", "people.csv", "--weights", "final")
    assert code == 2 and "restore a copy" in said and "resume" not in said


def test_run_json_lists_no_file_elsewhere(runs):
    value = unseal((runs / "fit" / "run.json").read_bytes(), "")
    for name in ("../people.csv", "lanes/../../x/run.json", "/etc/passwd", "lanes/001/final.safetensors"):
        value["files"][name] = value["files"]["result.json"]
        (runs / "fit" / "run.json").write_bytes(seal(value))
        with pytest.raises(tw.RunFolderError, match="must list files of its folder"):
            RunFile.read(runs / "fit")
        del value["files"][name]
