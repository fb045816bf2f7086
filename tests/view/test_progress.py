"""Progress: one bar, plain lines, silence; nothing that training hands over may break it."""

import io
import sys
import warnings

import pytest
from rich.console import Console

from thalweg.run.progress import Silent, Status, TrainingPlan
from thalweg.view.progress import Bar, Lines, fields_of, last_line, progress

GOOD = Status(1312, 3.1, 0.0712, 6.2e-4, 0.0931, "accuracy", 0.9742, 22712.0, 4.2)
NAN = float("nan")
STRANGE = [
    Status(0),
    Status(37, NAN, NAN, NAN, NAN, None, NAN, NAN, NAN),
    Status(5, 0.1, float("inf"), 1e-30, float("-inf"), "rmse", 1e30, float("inf"), float("inf")),
    Status(99, 9.9, 0.1, 0.1, None, None, None, 0.0, -3.0),
]
PLANS = [
    TrainingPlan("digits-1", 2110, 422, 128),
    TrainingPlan("x" * 200),
    TrainingPlan("zero", 0, 0, 0),
    TrainingPlan("", None, 10, 1),
]
RESULT = {
    "steps": 2110,
    "stopped": "epochs",
    "test_metric": {"name": "accuracy", "value": 0.9731},
    "seconds": {"total": 12.2},
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(plan: TrainingPlan, status: Status | None, width: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
    )
    bar = Bar(console)
    bar._plan, bar._status = plan, status
    console.print(bar)
    return [line.rstrip("\n") for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [120, 80, 60, 40, 20, 8])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("status", [None, GOOD, *STRANGE])
def test_the_bar_fits_every_width(width, plan, status):
    lines = drawn(plan, status, width)
    assert 1 <= len(lines) <= 2
    assert all(len(line) <= width for line in lines)


def test_eighty_columns_show_what_matters():
    text = "\n".join(drawn(PLANS[0], GOOD, 80))
    for part in (
        "digits-1",
        "62 %",
        "step 1,312/2,110",
        "epoch 3.1",
        "loss 0.07120",
        "accuracy 97.42 %",
        "validation 0.09310",
        "4.2 s left",
        "22.71k/s",
    ):
        assert part in text


def test_wide_terminals_show_the_learning_rate_and_narrow_ones_keep_the_loss():
    assert "lr 6.2e-04" in "\n".join(drawn(PLANS[0], GOOD, 120))
    narrow = "\n".join(drawn(PLANS[0], GOOD, 30))
    assert "loss 0.07120" in narrow
    assert "22.71k/s" not in narrow


@pytest.mark.parametrize("width", range(16, 110, 3))
def test_figures_are_whole_or_left_out(width):
    whole = {text for text, _ in fields_of(GOOD)}
    figures = drawn(PLANS[0], GOOD, width)[-1].strip().split("  ")
    assert set(figures) <= whole
    assert figures[0] == "loss 0.07120"


def test_a_loss_that_is_no_number_is_shown():
    assert "loss NaN" in "\n".join(drawn(PLANS[0], Status(37, 0.1, NAN), 80))


def test_the_bar_lives_and_leaves_one_line(capsys):
    stream = Terminal()
    shown = Bar(Console(file=stream, force_terminal=True, width=80, color_system=None))
    shown.start(PLANS[0])
    shown.update(GOOD)
    shown.note("compiled")
    print("a result")
    shown.finish(RESULT)
    text = stream.getvalue()
    assert text.endswith("digits-1: done after 2,110 steps, test accuracy 97.31 %, 12.2 s\n")
    assert "compiled\n" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    assert capsys.readouterr() == ("a result\n", "")  # standard output is left alone while the bar lives


def test_finish_without_start_and_without_a_result():
    stream = Terminal()
    Bar(Console(file=stream, force_terminal=True, width=80)).finish({})
    assert "aborted" in stream.getvalue()


@pytest.mark.parametrize("kind", [Bar, Lines])
@pytest.mark.parametrize("plan", PLANS)
def test_strange_figures_break_nothing(kind, plan):
    stream = Terminal()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = Bar(Console(file=stream, force_terminal=True, width=70)) if kind is Bar else Lines(stream)
        shown.start(plan)
        for status in STRANGE:
            shown.update(status)
        for result in (
            {},
            {"stopped": None, "seconds": None},
            {"test_metric": {"value": None}, "steps": None},
        ):
            shown.finish(result)
    assert stream.getvalue()


def test_a_log_gets_a_line_each_ten_seconds_or_epoch_and_no_more():
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.start(PLANS[0])
    for tenth in range(1, 301):  # thirty seconds, ten statuses a second, one epoch of a hundred seconds
        clock.now = tenth / 10
        lines.update(Status(tenth, tenth / 1000, 1.0))
    assert len(stream.getvalue().splitlines()) == 1 + 3
    for epoch in range(1, 6):  # epochs of two seconds
        clock.now += 2.0
        lines.update(Status(400 * epoch, float(epoch), 0.5))
    assert len(stream.getvalue().splitlines()) == 1 + 3 + 5
    for epoch in range(6, 506):  # epochs of a hundredth of a second: five seconds in all
        clock.now += 0.01
        lines.update(Status(400 * epoch, float(epoch), 0.5))
    assert len(stream.getvalue().splitlines()) <= 1 + 3 + 5 + 5


def test_log_lines_are_plain_and_whole():
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.start(PLANS[0])
    clock.now = 11.0
    lines.update(GOOD)
    lines.finish(RESULT)
    first, second, last = stream.getvalue().splitlines()
    assert first == "digits-1: 2,110 steps, batches of 128"
    assert second.startswith("step 1,312/2,110 epoch 3.1 loss 0.07120 accuracy 97.42 % validation 0.09310")
    assert "\x1b" not in stream.getvalue()
    assert last.startswith("digits-1: done after 2,110 steps")


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        ("diverged", "diverged"),
        ("interrupted", "interrupted"),
        ("patience", "stopped early"),
        ({"epochs": 1}, "done"),
    ],
)
def test_the_last_line_says_how_it_ended(stopped, words):
    assert f"run: {words} after 37 steps" in last_line(
        TrainingPlan("run"), None, {"stopped": stopped, "steps": 37}
    )


def test_the_stream_decides(monkeypatch):
    assert isinstance(progress(quiet=True), Silent)
    assert isinstance(progress(stream=io.StringIO()), Lines)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    assert isinstance(progress(stream=Terminal()), Bar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress(stream=Terminal()), Lines)


def test_lines_go_to_standard_error_only(capsys):
    shown = progress()
    assert isinstance(shown, Lines)
    assert shown._stream is sys.stderr
    shown.start(PLANS[0])
    shown.finish(RESULT)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2


def test_silence_says_nothing(capsys):
    silent = Silent()
    silent.start(PLANS[0])
    silent.update(GOOD)
    silent.note("x")
    silent.finish(RESULT)
    assert capsys.readouterr() == ("", "")
