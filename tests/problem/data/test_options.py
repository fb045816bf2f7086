import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.problem.data.given import refused
from thalweg.core.caller import command_line
from thalweg.problem.data.load import load
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


TABLE = "age,town,income\n" + "".join(f"{20 + i % 37},{'ABC'[i % 3]},{i % 41}\n" for i in range(80))


def csv(folder):
    (folder / "people.csv").write_text(TABLE)
    return folder / "people.csv", {"target": "income"}


def frame(folder):
    return pl.read_csv(TABLE.encode()), {"target": "income"}


def series(folder):
    return csv(folder)[0], {"target": "income", "window": 4}


def npy(folder):
    np.save(folder / "table.npy", np.random.default_rng(0).normal(size=(80, 3)))
    return folder / "table.npy", {"target": 1}


def arrays(folder):
    return (np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 2), {}


def pictures(folder):
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for i in range(12):
            pixels = np.random.default_rng(i).integers(0, 255, (6, 6), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder, {}


def text(folder):
    (folder / "book.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    return folder / "book.txt", {"context": 8}


def lines(folder):
    (folder / "names.txt").write_text("".join(f"name {i}\n" for i in range(90)))
    return folder / "names.txt", {"lines": True}


def named(folder):
    return "iris", {}


SOURCES = (csv, frame, series, npy, arrays, pictures, text, lines, named)
COLUMNS = {"decimal", "dates", "types", "missing", "drop", "keep"}
CELLS = {"header", "separator", "encoding"}
# By source, the options that have an effect on it. `validation`, `test` and `name` apply to all.
EFFECTIVE = {
    csv: COLUMNS | CELLS | {"target", "split_seed", "task", "min_class", "group"},
    frame: COLUMNS | {"target", "split_seed", "task", "min_class", "group"},
    series: COLUMNS | CELLS | {"target", "task", "window", "series", "group"},  # refuses group itself
    npy: {"target", "split_seed", "task", "min_class"},
    arrays: {"split_seed", "task", "min_class"},
    pictures: {"split_seed", "task", "min_class", "size", "skip_broken"},
    text: {"context", "encoding"},
    lines: {"lines", "split_seed", "encoding"},
    named: COLUMNS | {"target", "split_seed", "task", "min_class", "group", "folder"},
}
VALUES = {
    "target": "income",
    "header": True,
    "separator": ",",
    "encoding": "utf-8",
    "decimal": ".",
    "dates": "dmy",
    "types": {"town": "category"},
    "missing": ("?",),
    "drop": ("town",),
    "keep": ("town",),
    "split_seed": 1,
    "task": "regression",
    "min_class": 2,
    "context": 16,
    "lines": True,
    "window": 3,
    "series": "town",
    "size": 6,
    "skip_broken": True,
    "folder": "elsewhere",
    "group": "town",
}


def own_kind_changes(source, name):
    """Return whether the option turns the source into another kind of data, instead of applying to it."""
    return (name, source) in {
        ("lines", text),
        ("target", text),
        *(("window", each) for each in (csv, frame, npy, arrays)),
    }


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_an_option_without_effect_is_refused(source, tmp_path):
    data, needed = source(tmp_path)
    load(data, **needed)  # reads as it is
    for name, value in VALUES.items():
        given = {"split": f"group={value}"} if name == "group" else {name: value}
        if name in EFFECTIVE[source] or own_kind_changes(source, name):
            continue
        shown = "split group=COLUMN" if name == "group" else f"{name} is for "
        with refused(shown, who="load"):
            load(data, **(needed | given))


def test_a_refused_option_is_written_as_the_caller_writes_it(tmp_path):
    data, _ = pictures(tmp_path)
    with refused("target is for tables", "leave target out: the class of an image"):
        load(data, target="cat")
    with command_line(), refused("--target is for tables", "leave --target out: the class of an image"):
        load(data, target="cat")
    with command_line(), refused("--window is for", "the window of a text is its --context 64"):
        load(text(tmp_path)[0], window=3)


def test_options_that_apply_are_not_refused(tmp_path):
    data, needed = csv(tmp_path)
    loaded = load(data, **needed, header=True, missing="?", drop="town", split_seed=1, min_class=1)
    assert loaded.preparation.target == "income"
