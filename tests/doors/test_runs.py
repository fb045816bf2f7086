"""`thalweg runs`: a table or one JSON object; `thalweg watch` and what it needs."""

import builtins
import json
import sys

import pytest

from tests.insight import growing
from thalweg.doors.cli import app


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with runs, in this process; return its exit code, output and errors."""
    growing.end(growing.start(tmp_path / "runs" / "good"), test_metric={"name": "accuracy", "value": 0.95})
    growing.end(growing.start(tmp_path / "runs" / "poor"), test_metric={"name": "accuracy", "value": 0.5})
    growing.start(tmp_path / "runs" / "now", lanes=3)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
        code = app._outcome()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_table_has_a_line_for_each_run(here):
    code, out, _ = here("runs", "--sort", "metric")
    lines = [line.split()[:2] for line in out.splitlines()[1:] if not line.startswith(" ")]
    assert code == 0 and lines == [["good", "finished"], ["poor", "finished"], ["now", "running"]]
    assert "95.00 %" in out and "3 lanes" in out


def test_the_json_holds_settings_and_figures(here):
    code, out, _ = here("runs", "runs", "--filter", "metric<0.9", "--json")
    told = json.loads(out)
    assert code == 0 and [run["name"] for run in told["runs"]] == ["poor"]
    assert told["runs"][0]["metric"] == {"name": "accuracy", "value": 0.5}
    assert told["runs"][0]["settings"]["optimizer.lr"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "elsewhere"], "existing folder"),
        (["runs", "--sort", "metrik"], "did you mean 'metric'"),
        (["runs", "--filter", "metric is good"], "--filter"),
        (["watch", "elsewhere"], "existing folder"),
        (["watch", "--port", "99999999"], "--port"),
    ],
)
def test_mistakes_are_refused(here, arguments, message):
    code, _, error = here(*arguments)
    assert code == 2 and message in error


def test_no_run_is_said_in_words(here):
    assert here("runs", "--filter", "state=failed")[1] == "no run in runs meets the filter, of 3 runs\n"


def test_without_the_extra_it_is_named(here, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "uvicorn":
            raise ModuleNotFoundError("no", name=name)
        return imported(name, *rest)

    for module in ("serve", "local"):
        monkeypatch.delitem(sys.modules, f"thalweg.doors.page.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    code, _, error = here("watch")
    assert code == 2 and "pip install 'thalweg[page]'" in error
