"""What a hostile name, cell or machine makes of the command line: escapes, no formulas, a sentence."""

import errno

import numpy as np
import pyarrow as pa
import pytest

from thalweg.core.errors import BadInput, DataError, ShortageError
from thalweg.doors.answers import csv_of
from thalweg.doors.cli import shortage
from thalweg.doors.cli.output import print_json, print_text
from thalweg.doors.cli.shortage import as_shortage
from thalweg.doors.cli.usage import report_error
from thalweg.view.figure.html import element
from thalweg.view.progress import Lines
from thalweg.view.terminal import say, terminal

HOSTILE = "red\x1b]0;root\x07\u202e"
ESCAPED = r"red\x1b]0;root\x07\u202e"


def test_nothing_that_is_printed_acts_on_the_terminal(capsys):
    say(HOSTILE)
    print_text(HOSTILE)
    terminal().print(HOSTILE)
    print_json({HOSTILE: HOSTILE})
    report_error(DataError("data", "must be known", got=HOSTILE, where=HOSTILE, hint=HOSTILE), [])
    shown = "".join(capsys.readouterr())
    assert shown.count("]0;root") == 8 and not set(shown) & set("\x1b\x07\u202e")


def test_colours_still_reach_a_terminal(capsys):
    terminal(force_terminal=True, color_system="standard", highlight=False).print(f"[red]{HOSTILE}[/red]")
    shown = capsys.readouterr().out
    assert shown.startswith("\x1b[31m") and r"\x1b]0;root" in shown


def test_progress_and_pages_are_escaped(capsys, tmp_path):
    with (tmp_path / "log").open("w") as file:
        Lines(file).note(HOSTILE)
    assert (tmp_path / "log").read_text().strip() == r"red\x1b]0;root\u202e" or ESCAPED in (
        tmp_path / "log"
    ).read_text()
    assert element("td", HOSTILE, title=HOSTILE) == f'<td title="{ESCAPED}">{ESCAPED}</td>'


ANSWERS = {
    "prediction": np.array(["=1+1", "-1", "@x", HOSTILE], object),
    "probability_=1+1": np.array([-0.5, 0.5, 0.25, 1.0]),
    "=label": np.array(["+2", "a", "-b", "c"], object),
}


def test_predictions_hold_no_formulas():
    header, *rows = csv_of(ANSWERS).splitlines()
    assert header == "prediction,probability_=1+1,'=label"
    assert rows == ["'=1+1,-0.5,+2", "-1,0.5,a", "'@x,0.25,'-b", f"{ESCAPED},1.0,c"]


def test_predictions_are_written_as_they_are_on_request():
    header, *rows = csv_of(ANSWERS, formulas=True).splitlines()
    assert header == "prediction,probability_=1+1,=label" and rows[0] == "=1+1,-0.5,+2"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), "not enough memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), "not enough memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough threads"),
        (OSError(errno.EMFILE, "Too many open files"), "not enough open files"),
        (OSError(errno.ENOSPC, "No space left on device"), "not enough space on the disk"),
    ],
)
def test_a_machine_that_runs_short_ends_in_a_sentence(error, words, capsys):
    assert report_error(error, []) == 4
    shown = capsys.readouterr().err
    assert words in shown and "hint: " in shown and len(shown.splitlines()) == 2


def test_the_cause_of_an_error_counts():
    try:
        try:
            raise MemoryError
        except MemoryError as cause:
            raise KeyError("x") from cause
    except KeyError as error:
        assert isinstance(as_shortage(error), ShortageError)
    assert as_shortage(KeyError("x")) is None


def test_other_errors_stay_what_they_are():
    with pytest.raises(KeyError):
        report_error(KeyError("a bug"), [])
    assert report_error(BadInput("x", "must be y", hint="z"), []) == 2


def test_an_address_space_in_which_jax_aborts_is_refused(monkeypatch):
    monkeypatch.setattr(shortage, "address_space", lambda: 2_000_000_000)
    with pytest.raises(ShortageError, match=r"4 GB of address space \(ulimit -v\); got 2 GB"):
        shortage.reject_small_address_space()
    for space in (None, 5_000_000_000):
        monkeypatch.setattr(shortage, "address_space", lambda space=space: space)
        shortage.reject_small_address_space()


def test_errors_that_are_each_other_s_context_come_to_an_end():
    first, second = ValueError("one"), KeyError("two")
    first.__context__, second.__context__ = second, first
    assert as_shortage(first) is None
