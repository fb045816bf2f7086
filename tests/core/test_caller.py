"""Options in hints are written as the caller writes them."""

import pytest

from thalweg.core.caller import command_line, option, option_name


@pytest.mark.parametrize(
    ("name", "value", "python", "shell"),
    [
        ("header", False, "header=False", "--no-header"),
        ("force", True, "force=True", "--force"),
        ("split_seed", 3, "split_seed=3", "--split-seed 3"),
        ("missing", "?", "missing='?'", "--missing '?'"),
        ("types", {"zip code": "category"}, "types={'zip code': 'category'}", "--types 'zip code=category'"),
        ("drop", ("a", "b"), "drop=('a', 'b')", "--drop a --drop b"),
        ("settings", ("epochs=3",), "settings=('epochs=3',)", "--set epochs=3"),
    ],
)
def test_an_option_in_both_languages(name, value, python, shell):
    assert option(name, value) == python
    with command_line():
        assert option(name, value) == shell
    assert option(name, value) == python


def test_the_name_alone():
    assert option_name("split_seed") == "split_seed="
    with command_line():
        assert option_name("split_seed") == "--split-seed"


def test_the_language_is_restored_after_an_error():
    with pytest.raises(ValueError), command_line():
        raise ValueError
    assert option("force") == "force=True"
