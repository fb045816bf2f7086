import json

import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.options import LoadOptions, options_from


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test": 1.5}, "test must be a share"),
        ({"test": "1.0"}, "test must be a share"),
        ({"test": float("nan")}, "test must be a share"),
        ({"validation": -0.1}, "validation must be a share"),
        ({"validation": True}, "validation must be a share"),
        ({"validation": "0.1"}, "validation must be a share"),
        ({"split": "group="}, "split must be random, time or group=COLUMN"),
        ({"split": "tme"}, "got tme"),
        ({"task": "guess"}, "task must be"),
        ({"split_seed": 1.5}, "split_seed must be a whole number"),
        ({"context": 0}, "context must be"),
        ({"tset": 0.1}, "did you mean 'test'?"),
    ],
)
def test_impossible_options_are_refused(settings, words):
    with refused(words, who="load"):
        options_from(None, settings)


def test_a_share_may_come_as_text_from_the_command_line():
    assert LoadOptions(test="0.25").test == 0.25
    assert LoadOptions(test="rest.csv").test == "rest.csv"


def test_settings_override_options():
    options = options_from(LoadOptions(split="time", validation=0.3), {"validation": 0.2})
    assert (options.split, options.validation) == ("time", 0.2)


def test_one_mark_may_come_without_a_tuple():
    assert LoadOptions(missing="?").missing == ("?",)


def test_options_are_plain_data():
    asked = LoadOptions(target="y", test=(1, 2), missing=("?",), split_seed=3)
    assert json.loads(json.dumps(asked.to_dict())) == {
        "target": "y",
        "test": "in memory",
        "missing": ["?"],
        "split_seed": 3,
    }
    assert LoadOptions().to_dict() == {}
