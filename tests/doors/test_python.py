"""What `import thalweg` adds to the library's own functions: progress that is shown, and reports."""

import inspect
import io
import sys
from types import SimpleNamespace

import pytest

import thalweg as tw
import thalweg.view.progress as lines
from tests.made import problem
from thalweg.core.errors import RecipeError
from thalweg.doors.python import display
from thalweg.run.progress import Silent
from thalweg.run.train import train as bare_train
from thalweg.view.notebook import Cell
from thalweg.view.progress import Bar, FewLines

RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_where_the_process_runs(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(display(), FewLines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(display(), Bar)
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert isinstance(display(), Cell)
    shell.get_ipython = lambda: None  # IPython is imported, but nobody uses it
    assert isinstance(display(), Bar)


def test_a_short_run_is_quiet_and_keeps_its_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lines, "FIRST_SECONDS", 600.0)  # on a busy machine it takes more than two
    run = tw.train(problem(), RECIPE, keep=tmp_path / "run")
    runs = tw.train(problem(), RECIPE.vary(seed=[0, 1]), keep=tmp_path / "sweep", progress=False)
    assert (tmp_path / "run" / "report.html").read_text() == tw.render(run)
    assert (tmp_path / "sweep" / "report.html").read_text() == tw.render(runs)
    stream = tw.stream_train(problem(), RECIPE, keep=tmp_path / "loop")
    assert [status.step for status in stream][-1] == 7
    assert (tmp_path / "loop" / "report.html").exists()
    assert capsys.readouterr() == ("", "")
    bare_train(problem(), RECIPE, keep=tmp_path / "bare")
    assert not (tmp_path / "bare" / "report.html").exists()


def test_a_report_that_cannot_be_written_does_not_lose_the_run(tmp_path, monkeypatch):
    class Notes(Silent):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    def full(run):
        raise OSError("no space left on device")

    monkeypatch.setattr("thalweg.doors.python.write_report", full)
    notes = Notes()
    assert tw.train(problem(), RECIPE, keep=tmp_path / "run", progress=notes).result["steps"] == 7
    assert notes.notes == ["the report could not be written: no space left on device"]


def test_signatures_and_documentation_are_those_of_the_library():
    assert inspect.signature(tw.train) == inspect.signature(bare_train)
    assert tw.train.__doc__ == bare_train.__doc__


def test_an_unusable_listener_is_refused_before_anything_is_shown(capsys):
    with pytest.raises(RecipeError, match="must be a function of a status"):
        tw.train(problem(), RECIPE, progress=3)
    assert capsys.readouterr().err == ""
