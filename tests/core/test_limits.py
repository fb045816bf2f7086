"""Limits, files and documents from anybody: refused before memory is taken, and safe to show."""

import io
import os
import socket

import pytest

from thalweg.core import files, limits
from thalweg.core.documents import parse_json, parse_toml
from thalweg.core.errors import BadInput, DataError
from thalweg.core.escape import cell, printable, printable_json
from thalweg.core.files import NotRegular, TooLong, read_file, read_up_to
from thalweg.core.schema import NUMBER, Each, misfit


@pytest.mark.parametrize(
    ("setting", "most"), [("4000", 4000), ("4GB", 4_000_000_000), (" 1.5 KiB ", 1536), ("2tb", 2 * 10**12)]
)
def test_the_limit_is_set_by_the_environment(monkeypatch, setting, most):
    monkeypatch.setenv(limits.VARIABLE, setting)
    assert limits.max_bytes() == most


@pytest.mark.parametrize("setting", ["0", "-1", "much", "1e9", "9" * 400, "4 G B"])
def test_another_setting_is_refused(monkeypatch, setting):
    monkeypatch.setenv(limits.VARIABLE, setting)
    with pytest.raises(BadInput, match="number of bytes above 0"):
        limits.max_bytes()


def test_the_limit_is_half_of_the_free_memory(monkeypatch):
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    monkeypatch.setattr(limits, "_available", lambda: 1000)
    monkeypatch.setattr(limits, "_left_of_group", lambda: 800)
    monkeypatch.setattr(limits, "_left_of_address_space", lambda: 900)
    assert limits.max_bytes() == 400


def test_the_memory_limit_of_a_container_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "_GROUP", tmp_path)
    assert limits._left_of_group() > 1 << 60  # there is none
    for name, text in (("max", "1000\n"), ("current", "700\n"), ("stat", "anon 1\ninactive_file 50\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert limits._left_of_group() == 350


def test_memory_is_compared_with_every_copy(monkeypatch):
    monkeypatch.setenv(limits.VARIABLE, "1000")
    limits.check_memory(DataError, "file", 250, "x", copies=4)
    with pytest.raises(DataError, match=r"at most 1,000 bytes of memory; got 251 bytes, which take 1,004"):
        limits.check_memory(DataError, "file", 251, "x", copies=4)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))  # a short name
        places = (tmp_path / "pipe", tmp_path / "folder", tmp_path / "socket", "/dev/zero")
        for path, words in zip(places, ("a pipe", "a folder", "a socket", "a device"), strict=True):
            with pytest.raises(NotRegular, match=words):
                read_file(path)
    for path, kind in ((tmp_path / "none", FileNotFoundError), ("a\0b", OSError)):
        with pytest.raises(kind):
            read_file(path)


def test_a_long_file_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(900 << 30)
    with pytest.raises(TooLong, match=r"966\.4 GB, above"):
        read_file(path)
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(TooLong):
        read_file(path, 4)
    with pytest.raises(TooLong):
        read_file("/proc/self/maps", 10)  # its size is 0
    assert b"Name" in read_file("/proc/self/status")


def test_what_is_read_in_pieces_is_counted_as_a_whole(monkeypatch):
    monkeypatch.setattr(files, "_PIECE", 4)
    assert read_up_to(io.BytesIO(b"x" * 9), 9) == b"x" * 9
    assert read_up_to(io.BytesIO(b"x" * 9), 8) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "the key 'c' twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e999", "not finite"),
        ("9" * 5000, "64 bits"),
        (str(2**64), "64 bits"),
        (str(-(2**63) - 1), "64 bits"),
        ('"\\ud800"', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
        (b'{"\xff": 1}', "not UTF-8: byte 0xff at 2"),
        ("{", "Expecting"),
    ],
)
def test_json_is_read_strictly(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_sound_json_is_read():
    assert parse_json(b'{"a": [1, -2.5, null, "\xc3\xa9"]}') == {"a": [1, -2.5, None, "é"]}
    assert parse_json(str(2**64 - 1)) == 2**64 - 1
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_json('"\\ud800"', surrogates=True) == "\ud800"


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 50_000, ".".join("a" * 3000) + " = 1", "a = " + "9" * 5000, f"a = {2**64}", "a"]
)
def test_toml_is_read_strictly(text):
    with pytest.raises(ValueError, match=r"nested|64 bits|Expected"):
        parse_toml(text)


def test_what_acts_on_a_terminal_is_escaped():
    hostile = "red\x1b]0;root\x07\x00\x9b31m\u202egnp.exe\u2066\u2028\ud800\r"
    assert printable(hostile) == r"red\x1b]0;root\x07\x00\x9b31m\u202egnp.exe\u2066\u2028\ud800\x0d"
    assert printable("plain\ttext\n é 汉 עברית 🙂") == "plain\ttext\n é 汉 עברית 🙂"
    assert parse_json(printable_json('"\x7f\u202e"')) == "\x7f\u202e"
    assert printable_json('"\x7f\u202e"').isascii()
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)):  # embeddings, overrides, isolates
        assert printable(chr(code)) == f"\\u{code:04x}"


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1", "\uff1d1"])
def test_a_cell_is_no_formula(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+1.5", "-1e-3", "-0,5", "-inf", "red", "a=b", "", "-5 %", "1-2"])
def test_numbers_and_words_stay_as_they_are(text):
    assert cell(text) == text


def test_a_schema_names_the_entry_that_does_not_fit():
    schema = {"seconds": Each(NUMBER), "rows": [{"lane": int}], "name": str}
    assert (
        misfit({"seconds": {"a": 1.5, "b": None}, "rows": [{"lane": 1, "x": []}], "more": 1}, schema) is None
    )
    for value, words in (
        ([], "it is a list, not a table"),
        ({"seconds": {"a": "x"}}, "seconds.a is text, not a number"),
        ({"seconds": {"a": True}}, "seconds.a is true or false, not a number"),
        ({"rows": [{"lane": 1.0}]}, r"rows[0].lane is a number, not a whole number"),
        ({"rows": [None]}, "rows[0] is null"),
        ({"name": {}}, "name is a table, not text"),
    ):
        assert misfit(value, schema) == words
