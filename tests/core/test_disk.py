"""Writing to disk: atomic, under names that cannot be guessed, and never through a link."""

import errno
import os
import threading

import pytest

from thalweg.core import disk
from thalweg.core.disk import DISK, Files, left_over, replace


class Full(Files):
    def write(self, descriptor, data):
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("durable", [True, False])
def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path, durable):
    file = tmp_path / "answers.csv"
    file.write_bytes(b"before")
    with pytest.raises(OSError, match="No space") as refused:
        replace(file, b"after", durable=durable, files=Full())
    assert refused.value.filename == str(file)
    assert file.read_bytes() == b"before" and os.listdir(tmp_path) == ["answers.csv"]


def test_a_write_that_takes_only_some_bytes_is_continued_where_it_ended(tmp_path):
    class Slow(Files):
        def write(self, descriptor, data):
            return os.write(descriptor, data[:7])

    content = bytes(range(200))
    replace(tmp_path / "step.bin", content, files=Slow())
    assert (tmp_path / "step.bin").read_bytes() == content


def test_an_interrupt_while_writing_leaves_nothing(tmp_path):
    class Interrupted(Files):
        def write(self, descriptor, data):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "page.html", b"text", files=Interrupted())
    assert os.listdir(tmp_path) == []


def test_temporary_names_cannot_be_guessed_and_a_taken_one_is_not_opened(tmp_path, monkeypatch):
    names = {disk.temporary_name(tmp_path) for _ in range(50)}
    assert len(names) == 50
    victim, planted = tmp_path / "victim", tmp_path / "guessed"
    victim.write_bytes(b"mine")
    planted.symlink_to(victim)
    monkeypatch.setattr(disk, "temporary_name", lambda folder: planted)
    with pytest.raises(FileExistsError):
        replace(tmp_path / "run.json", b"evil")
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "folder", "pipe"])
def test_only_a_regular_file_is_replaced(tmp_path, kind):
    target, victim = tmp_path / "report.html", tmp_path / "victim"
    if kind == "folder":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(victim)
    if kind == "link":
        victim.write_bytes(b"mine")
    said = "symbolic link" if kind.startswith("link") else "regular file"
    with pytest.raises(OSError, match=said):
        replace(target, b"page")
    assert not left_over(tmp_path)
    assert victim.read_bytes() == b"mine" if kind == "link" else not victim.exists()


def test_no_link_is_followed_below_the_root(tmp_path):
    root, outside = tmp_path / "run", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    (outside / "deep").mkdir(parents=True)
    (outside / "file").write_bytes(b"secret")
    (root / "lanes").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    files = Files(root)
    for path in (root / "lanes" / "file", root / "file"):
        with pytest.raises(OSError, match="symbolic link"):
            files.read(path, 100)
    for path in (root / ".." / "outside" / "file", outside / "file", root / "real" / ".." / ".." / "outside"):
        with pytest.raises(OSError, match="leads out"):
            files.read(path, 100)
    with pytest.raises(OSError, match="symbolic link"):
        replace(root / "lanes" / "deep" / "new", b"evil", files=files)
    with pytest.raises(OSError, match="symbolic link"):
        files.make_folder(root / "lanes")
    with pytest.raises(OSError, match="symbolic link"):
        files.make_folder(root / "lanes" / "new")
    assert files.names(root / "lanes") == []
    disk.remove_tree(files, root / "lanes")
    assert sorted(os.listdir(outside)) == ["deep", "file"] and os.listdir(outside / "deep") == []
    replace(root / "real" / "new", b"fine", files=files)
    assert files.read(root / "real" / "new", 100) == b"fine"


def test_the_root_itself_may_be_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "there")
    replace(tmp_path / "latest" / "a", b"b", files=Files(tmp_path / "latest"))
    assert (tmp_path / "there" / "a").read_bytes() == b"b"


def test_of_many_writers_of_a_new_file_one_wins(tmp_path):
    """Between a look and a rename another process may have written the file."""
    file, won = tmp_path / "answers.csv", []
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        try:
            replace(file, str(number).encode(), durable=False, new=True)
            won.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and file.read_text() == str(won[0]) and not left_over(tmp_path)


def test_a_new_file_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def unsupported(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    replace(tmp_path / "a", b"1", new=True)
    with pytest.raises(FileExistsError):
        replace(tmp_path / "a", b"2", new=True)
    assert (tmp_path / "a").read_bytes() == b"1" and os.listdir(tmp_path) == ["a"]


def test_reading_takes_regular_files_up_to_a_limit(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"12345")
    for name, said in (("pipe", "regular file"), ("long", "more than 4"), (".", "regular file")):
        with pytest.raises(OSError, match=said):
            DISK.read(tmp_path / name, 4)
    with pytest.raises(OSError, match="regular file"):
        DISK.open_shared(tmp_path / "pipe", create=True)
