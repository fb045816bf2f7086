"""A sample of text: at the end of a character model's run, a pure function of weights and seed."""

import json

import pytest

from tests.made import problem
from thalweg.problem.data.load import load
from thalweg.problem.models import GPT
from thalweg.problem.models.adapter import build_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import read
from thalweg.run.session import finalize
from thalweg.run.session.finalize import SAMPLE_CHARACTERS, SAMPLE_LINES, sample_text
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train
from thalweg.view.report.page import render
from thalweg.view.text import plain, show

TEXT = "<abc>\n" * 200
SMALL = GPT(layers=1, heads=2, width=16)
RECIPE = Recipe(AdamW(lr=0.02), batch_size=16, steps=150)


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "abc.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(text_file, tmp_path_factory):
    data = load(text_file, context=8, validation=0.2)
    return train(Problem(SMALL, data), RECIPE, keep=SaveOptions(tmp_path_factory.mktemp("run"), force=True))


def first_weights(run):
    return build_as_trained(run.problem.model, run.recipe.seed)


def test_a_trained_model_writes_what_it_has_learned(run):
    text = run.result["sample"]
    assert len(text) == SAMPLE_CHARACTERS
    # It starts at a line break; every line but the last, which is cut, should be whole.
    lines = text.split("\n")[:-1]
    assert lines.count("<abc>") > 0.9 * len(lines)


def test_it_is_in_the_folder_the_result_the_report_and_on_the_screen(run):
    text = run.result["sample"]
    assert (run.folder / "sample.txt").read_bytes().decode() == text
    assert json.loads((run.folder / "result.json").read_text())["sample"] == text
    record = read(run.folder)
    assert "&lt;abc&gt;\n&lt;abc&gt;" in render(record)  # shown, not interpreted
    assert "<abc>\n<abc>\n" in plain(show(record))


def test_a_terminal_does_not_interpret_a_sample(run):
    record = read(run.folder)
    record.result["sample"] = "red \x1b[31m text"
    assert "\x1b" not in plain(show(record))


def test_the_same_seed_writes_the_same_and_another_seed_another(run):
    preparation = run.problem.data.preparation
    trained = first_weights(run)._replace(params=run.params, model_state=run.model_state)
    assert sample_text(preparation, trained, run.recipe.seed) == run.result["sample"]
    # A fresh model guesses, so that the seed shows.
    first, again, other = (sample_text(preparation, first_weights(run), seed) for seed in (0, 0, 1))
    assert first == again != other


def test_lines_are_sampled_whole(text_file):
    lined = load(text_file, lines=True, validation=0.2)
    text = train(Problem(SMALL, lined), RECIPE).result["sample"]
    assert text.endswith("\n")
    assert text.count("\n") == SAMPLE_LINES
    assert text.split("\n").count("<abc>") > 0.8 * SAMPLE_LINES


def test_a_table_has_no_sample_and_neither_has_a_model_that_is_too_slow(run, monkeypatch):
    assert "sample" not in train(problem(), Recipe(batch_size=16, steps=2)).result
    built = first_weights(run)._replace(params=run.params, model_state=run.model_state)
    monkeypatch.setattr(finalize, "SAMPLE_BUDGET", 1e5)
    assert sample_text(run.problem.data.preparation, built, 0) is None
