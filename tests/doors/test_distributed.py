"""`--distributed`: what is refused beforehand, and two processes of which one is killed."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import ROUNDING, Together, distance, ended, trials
from thalweg.core.errors import BadInput
from thalweg.doors.cli.distributed import ADDRESS, COUNT, NUMBER, together
from thalweg.run.folder.folder import RUN_FILE

BASE: dict[str, Any] = {"distributed": True, "folds": None, "watch": False, "lr": None, "devices": None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 5}, "without --folds"),
        ({"watch": True}, "without --watch"),
        ({"lr": "auto"}, "cannot search for the rate"),
        ({"out": None}, "needs the folder of the run"),
    ],
)
def test_what_processes_cannot_do_together_is_refused_before_they_join(options, words):
    with pytest.raises(BadInput, match=words), together({**BASE, "out": Path("run")} | options):
        pass


def test_without_other_processes_the_message_says_how_they_are_found(monkeypatch):
    for name in (ADDRESS, COUNT, NUMBER):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match=ADDRESS), together({**BASE, "out": Path("run")}):
        pass


def test_without_the_option_nothing_is_joined():
    with together(BASE | {"distributed": False}) as own:
        assert own["devices"] is None


@pytest.mark.long
def test_of_two_processes_one_is_killed_and_the_restart_gives_the_same_bytes(tmp_path):
    """The shortest form of `scripts/distributed processes`."""
    whole = Together(tmp_path, "whole", 2, 400)
    assert not any(whole.end()), whole.said()
    (said,) = ended(whole, 1, signal.SIGKILL)
    assert said.startswith("equal"), said


@pytest.mark.long
def test_a_process_that_is_killed_ends_the_run_which_restarts_to_the_same_bytes(tmp_path):
    said = list(trials(tmp_path, [2], 200))
    assert len(said) == 5
    assert not [line for line in said if line.startswith("BROKEN")]


@pytest.mark.long
def test_processes_read_rows_from_the_host_as_from_the_device(tmp_path):
    runs = {}
    for place in ("device", "host"):
        runs[place] = Together(tmp_path, place, 2, 100, "--data-on", place)
        assert not any(runs[place].end()), runs[place].said()
        origin = json.loads((runs[place].folder / RUN_FILE).read_text())["origin"]
        assert origin["data_on"] == place
    assert distance(runs["device"].folder, runs["host"].folder) < ROUNDING
