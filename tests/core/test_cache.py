"""What is remembered between processes: beside what was remembered before, in a folder of one's own."""

from thalweg.core import cache


def test_what_is_remembered_stays_beside_what_was(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    assert cache.recall("facts.json", "first") is None
    cache.remember("facts.json", "first", {"seconds": 1.5})
    cache.remember("facts.json", "second", [2])
    assert cache.recall("facts.json", "first") == {"seconds": 1.5}
    assert cache.recall("facts.json", "second") == [2]
    cache.remember("facts.json", "second", [3])  # measured again
    assert cache.recall("facts.json", "second") == [3]
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    (tmp_path / "cache" / "facts.json").write_text("[")
    assert cache.recall("facts.json", "first") is None
    cache.remember("facts.json", "first", 3)
    assert cache.recall("facts.json", "first") == 3


def test_nothing_is_remembered_without_a_cache(monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", "off")
    cache.remember("facts.json", "first", 1)
    assert cache.recall("facts.json", "first") is None
