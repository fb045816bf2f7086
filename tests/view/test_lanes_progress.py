"""Many lanes while they run: the table fits the screen, and the line says what all of them do."""

import io
import math

import pytest
from rich.console import Console

from thalweg.run.progress import LaneStatus, Status, TrainingPlan
from thalweg.view.progress import Bar, Lines, lanes_line, last_line

NAN = math.nan
LANES = (
    LaneStatus(0, "lr 0.1, seed 0", 300, 0.5, 0.40, 0.90, "running"),
    LaneStatus(1, "lr 0.01, seed 0", 300, 0.4, 0.30, 0.93, "running"),
    LaneStatus(2, "lr 1, seed 0", 12, NAN, NAN, NAN, "diverged"),
    LaneStatus(3, "lr 0.001, seed 0", 100, 0.2, NAN, NAN, "running"),
    LaneStatus(4, "lr 0.0001, seed 0", 900, 0.9, 0.95, 0.5, "epochs"),
    LaneStatus(5, "lr 10, seed 0"),
)


def status(lanes=LANES) -> Status:
    return Status(300, 1.5, 0.5, None, 0.4, "accuracy", 0.9, 220_000.0, 12.0, tuple(lanes))


def drawn(width: int, height: int, lanes=LANES) -> list[str]:
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )
    bar = Bar(console)
    bar._plan, bar._status = TrainingPlan("swept-1", 938, 469, 128, len(lanes)), status(lanes)
    console.print(bar)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("count", [2, 6, 48, 3000])
@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24), (60, 10), (40, 8), (80, 5), (20, 3)])
def test_the_table_fits_every_screen(width, height, count):
    lanes = [
        LaneStatus(i, f"lr {10**-i:.3g}, " + "x" * 60, i, 0.1 * i, NAN, NAN, "running") for i in range(count)
    ]
    lines = drawn(width, height, lanes)
    assert all(len(line.rstrip()) <= width for line in lines)
    assert len(lines) <= max(3, height - 1)


def test_the_best_lanes_stand_first_and_the_diverged_last():
    text = "\n".join(drawn(80, 24))
    order = [
        text.index(f" {lane.label}") for lane in (LANES[1], LANES[0], LANES[4], LANES[3], LANES[5], LANES[2])
    ]
    assert order == sorted(order)
    assert "93.00 %" in text and "diverged" in text and "0.3000" in text


def test_a_low_screen_keeps_the_best():
    lines = drawn(80, 7)
    assert any("lr 0.01, seed 0" in line for line in lines[3:])
    assert not any(" lr 1, seed 0" in line for line in lines[3:])


def test_a_table_without_room_for_lanes_is_left_out():
    assert not any("setting" in line for line in drawn(80, 6))
    assert any("setting" in line for line in drawn(80, 7))


def test_one_line_says_what_all_lanes_do():
    said = lanes_line(LANES)
    assert said.startswith(
        "6 lanes: 3 running, 1 waiting, 1 done, 1 diverged; best validation 0.3000 (lr 0.01"
    )
    assert lanes_line(LANES[3:4] * 2) == "2 lanes: 2 running; best loss 0.2000 (lr 0.001, seed 0)"
    assert lanes_line([LANES[5]] * 3) == "3 lanes: 3 waiting"


def test_a_log_gets_the_line():
    stream = io.StringIO()
    lines = Lines(stream, clock=iter(range(0, 1000, 20)).__next__)
    lines.start(TrainingPlan("swept-1", 938, 469, 128, 6))
    lines.update(status())
    assert "6 lanes: 3 running" in stream.getvalue() and "12.0 s left" in stream.getvalue()


def test_the_end_counts_the_lanes():
    plan = TrainingPlan("swept-1", 938, 469, 128, 48)
    result = {"stopped": {"epochs": 40, "steps": 2, "diverged": 5, "halved": 1}, "seconds": {"total": 33.0}}
    assert last_line(plan, None, result) == "swept-1: 48 lanes, 42 done, 5 diverged, 1 frozen, 33.0 s"
    assert last_line(plan, status(), {}) == "swept-1: aborted after 300 steps a lane"
