"""A new run's folder: made, locked and found free in one step."""

import threading

import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.folder import claim as claims
from thalweg.run.folder.claim import claim
from thalweg.run.folder.lock import Lock, holder


def finish_a_run(folder):
    with claim(folder, "data"):
        (folder / "final.safetensors").write_text("trained")


class Late(Lock):
    """A process that pauses between making the folder and taking its lock."""

    meanwhile = None

    def __enter__(self):
        action, Late.meanwhile = Late.meanwhile, None
        if action is not None:
            action()
        return super().__enter__()


@pytest.mark.parametrize("options", [{}, {"restart": True}])
def test_a_run_that_another_process_finished_meanwhile_is_not_overwritten(tmp_path, monkeypatch, options):
    folder = tmp_path / "run"
    monkeypatch.setattr(claims, "Lock", Late)
    Late.meanwhile = lambda: finish_a_run(folder)
    with pytest.raises(RunFolderError, match="must not hold a run already"), claim(folder, "data", **options):
        raise AssertionError
    assert (folder / "final.safetensors").read_text() == "trained" and holder(folder) is None


def test_a_numbered_folder_that_is_taken_meanwhile_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claims, "Lock", Late)
    Late.meanwhile = lambda: finish_a_run(tmp_path / "runs" / "data-1")
    with claim(None, "data") as folder:
        assert folder.name == "data-2" and holder(folder) is not None
    assert holder(folder) is None and (tmp_path / "runs" / "data-1" / "final.safetensors").exists()


def test_of_many_starts_at_once_one_gets_the_folder(tmp_path):
    folder, owners, refused = tmp_path / "run", [], []
    start = threading.Barrier(8)

    def begin(number):
        start.wait()
        try:
            with claim(folder, "data"):
                owners.append(number)
                (folder / "result.json").write_text(str(number))
        except RunFolderError as error:
            refused.append(error.rule)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(owners) == 1 and len(refused) == 7
    assert (folder / "result.json").read_text() == str(owners[0])


def test_remains_of_a_killed_start_are_removed_and_other_files_stay(tmp_path):
    for name in ("problem.json", "mine.txt"):
        (tmp_path / name).write_text("before")
    with pytest.raises(RunFolderError, match="must not hold a run already"), claim(tmp_path, "data"):
        raise AssertionError
    with claim(tmp_path, "data", restart=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "mine.txt"]


@pytest.mark.parametrize("name", ["checkpoints", "report.html", ".lock"])
def test_a_link_where_a_file_of_the_run_belongs_is_refused(tmp_path, name):
    folder, victim = tmp_path / "run", tmp_path / "victim"
    folder.mkdir()
    victim.mkdir() if name == "checkpoints" else victim.write_text("mine")
    (folder / name).symlink_to(victim)
    with pytest.raises(RunFolderError, match="link"), claim(folder, "data", force=True):
        raise AssertionError
    assert victim.exists() and (folder / name).is_symlink()
    assert name == "checkpoints" or victim.read_text() == "mine"
