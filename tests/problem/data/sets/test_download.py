import gzip
import hashlib
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.load import load
from thalweg.problem.data.sets import published
from thalweg.problem.data.sets.published import File, Published

TEXT = b"all the world is a stage and all the men and women merely players\n" * 60


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(published.VARIABLE, raising=False)
    monkeypatch.setattr(published, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "stage.txt.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "served" / "other.txt").write_bytes(b"something else")
    (tmp_path / "served" / "broken.txt.gz").write_bytes(gzip.compress(TEXT)[:-9])
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with HTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def offer(monkeypatch, *addresses):
    file = File("tinyshakespeare.txt", hashlib.sha256(TEXT).hexdigest(), addresses)
    made = Published("tinyshakespeare", "text", (file,), ("tinyshakespeare",))
    monkeypatch.setitem(published.SETS, "tinyshakespeare", made)


def test_a_set_is_downloaded_once(cache, server, monkeypatch):
    offer(monkeypatch, server + "stage.txt.gz")
    first = load("tinyshakespeare")
    assert (cache / "tinyshakespeare" / "tinyshakespeare.txt").read_bytes() == TEXT
    offer(monkeypatch, "http://127.0.0.1:1/nobody")
    assert load("tinyshakespeare").fingerprint == first.fingerprint
    assert [p.name for p in (cache / "tinyshakespeare").iterdir()] == ["tinyshakespeare.txt"]


def test_the_next_address_is_tried(cache, server, monkeypatch):
    offer(
        monkeypatch,
        server + "missing.txt",
        server + "other.txt",
        server + "broken.txt.gz",
        server + "stage.txt.gz",
    )
    assert load("tinyshakespeare").task == "language"


def test_other_content_is_refused_and_not_kept(cache, server, monkeypatch):
    offer(monkeypatch, server + "other.txt", server + "missing.txt", server + "broken.txt.gz")
    with refused("could not be downloaded", "other content (SHA-256", "404", "THALWEG_DATA"):
        load("tinyshakespeare")
    assert list((cache / "tinyshakespeare").iterdir()) == []


def test_without_a_network_the_error_says_where_to_put_it(cache, monkeypatch):
    offer(monkeypatch, "http://127.0.0.1:1/stage.txt")
    with refused("is not on this machine and could not be downloaded", "set THALWEG_DATA", "folder="):
        load("tinyshakespeare")


def test_a_set_without_addresses_must_lie_on_this_machine(cache):
    with refused("cifar10 cannot be downloaded and must be on this machine", "set THALWEG_DATA"):
        load("cifar10")


def test_a_given_folder_is_the_only_one_searched(cache, tmp_path):
    with refused("the folder must hold mnist", str(tmp_path), "subfolder mnist"):
        load("mnist", folder=tmp_path)


def test_an_unwritable_cache_is_refused(cache, monkeypatch):
    cache.write_text("a file stands in the way")
    offer(monkeypatch, "http://127.0.0.1:1/stage.txt")
    with refused("the cache folder must be writable", "THALWEG_DATA"):
        load("tinyshakespeare")


def test_the_files_of_one_set_are_not_read_as_another(tmp_path, monkeypatch):
    monkeypatch.setenv(published.VARIABLE, str(tmp_path))
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).touch()
    assert published.locate(published.SETS["fashion_mnist"], None) is None
    assert published.locate(published.SETS["fashion_mnist"], tmp_path) == tmp_path
