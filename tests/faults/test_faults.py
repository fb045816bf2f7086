"""The quick trials break no promise, and every kind of trial notices a planted defect."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.faults import clocks, commands, damage, diverging, fuzz, guided, kills, power, strangers, victim
from tests.faults.__main__ import TRIALS
from tests.faults.bench import fault
from tests.faults.system_calls import FAIL, built
from tests.faults.tally import Line
from thalweg.run.checkpoint import store as checkpoints
from thalweg.run.checkpoint.safetensors_io import decode
from thalweg.run.checkpoint.store import ARRAYS, Store

ROOT = Path(__file__).parents[2]


# These share a process that has imported everything.
WHOLE = ("killed-runs", "damaged-runs")
# Too long for the gate: only `python -m tests.faults` runs them.
OTHERS = ("commands", "clocks", "filesystems", "strangers", "sweeps", "whole-runs")
FULL_ONLY = ("mnist", "soak", "many-lanes")


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param([name], marks=[pytest.mark.long] if name == "guided" else [])
        for name in TRIALS
        if name not in (*WHOLE, *OTHERS, *FULL_ONLY)
    ]
    + [[*WHOLE]],
    ids=lambda trials: trials[0],
)
def test_quick_trials_break_no_promise(trials):
    # In a process of its own, because writers are forked, which JAX does not support.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--gate", "--only", *trials],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("call", ["sync", "sync_folder"])
def test_power_cuts_notice_a_missing_sync(call):
    careless = type("Careless", (power.Disk,), {call: lambda self, argument: self._call()})
    (line,) = power.power_cuts(False, careless)
    assert line.broken > 100


def test_the_check_notices_a_half_written_checkpoint(tmp_path):
    victim.write_runs(tmp_path, 0, 3, lambda step: None)
    assert victim.check_left(tmp_path, 2) == (2, None)
    shutil.rmtree(tmp_path / "checkpoints" / "step-0000000002")
    assert "was reported durable" in victim.check_left(tmp_path, 2)[1]
    (tmp_path / "checkpoints" / "step-0000000001" / "manifest.json").unlink()
    assert "visible and damaged" in victim.check_left(tmp_path, 1)[1]


def test_the_check_notices_other_content(tmp_path):
    victim.write_runs(tmp_path, 0, 1, lambda step: None)
    store = Store(tmp_path, victim.RUN)
    store.commit(5, victim.arrays_of(4), victim.facts_of(5))
    assert "holds other content" in victim.check_left(tmp_path, 5)[1]


def test_a_writer_that_renames_too_early_is_noticed(tmp_path, monkeypatch):
    """Commit under the final name from the start."""
    monkeypatch.setattr(checkpoints, "LEFT_OVER", "")
    monkeypatch.setattr(checkpoints, "_suffix", lambda: "")
    seen = Line("", "")
    folder = tmp_path / "run"
    for length in range(1, 9):
        folder.mkdir()
        disk = _Stopping(length)
        try:
            victim.write_runs(folder, 0, 1, lambda step: None, disk)
        except power.Cut:
            seen.add(victim.check_left(folder, None)[1])
        shutil.rmtree(folder)
    assert seen.broken > 0


class _Stopping(victim.Files):
    def __init__(self, calls):
        self.left = calls

    def write(self, descriptor, data):
        self.left -= 1
        if self.left <= 0:
            raise power.Cut
        return super().write(descriptor, data)

    def rename(self, source, target):
        if source != target:
            super().rename(source, target)


def test_damage_notices_a_reader_that_verifies_nothing(monkeypatch):
    def read_unverified(self, name):
        manifest = self.manifest(name)
        content = self._files.read(self.folder / name / ARRAYS, 1 << 20)
        arrays = decode(content, manifest.arrays, name)
        return checkpoints.Checkpoint(self.folder / name, manifest, arrays)

    monkeypatch.setattr(Store, "read", read_unverified)
    assert any(line.broken for line in damage.damaged_files(False))


def test_enough_kills_are_tried():
    assert kills.QUICK >= 300 and kills.FULL >= 10_000


def test_quick_diverging_runs_cover_every_kind_reaction_and_time():
    alone, _ = diverging.cases(False)
    assert {(case.kind, case.how) for case in alone} == {
        (kind, how) for kind in diverging.KINDS for how in diverging.HOWS
    } | {(kind, "it stops") for kind in diverging.HIDDEN}
    assert {(case.every, case.kill) for case in alone} == {
        (every, kill) for every in diverging.EVERY for kill in diverging.KILLS
    }


def test_another_result_code_is_noticed(tmp_path):
    for name, code in (("whole", 1), ("same", 1), ("other", 0)):
        arrays = {"state.params.weight": np.ones(3), "state.code": np.array([code])}
        Store(tmp_path / name, victim.RUN).commit(5, arrays, {})
    assert diverging.different_states(tmp_path / "whole", tmp_path / "same") is None
    assert diverging.different_states(tmp_path / "whole", tmp_path / "other") == "state.code differs"
    assert "hold 2 and 0" in diverging.different_states(tmp_path / "whole", tmp_path / "none")


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (lambda content, place: {}["missing"], "KeyError"),
        (lambda content, place: (place.parent / "bait").write_bytes(content), "opens"),
        (lambda content, place: bytearray(1 << 40), "MemoryError"),
    ],
)
def test_fuzzing_notices_a_careless_reader(read, wrong, tmp_path):
    place = tmp_path / "inside"
    place.mkdir()
    with fuzz.limits():
        assert wrong in fuzz.wrong_with(fuzz.Reader("careless", b"", read), b"", place, Line("", ""))


@pytest.mark.skipif(guided.atheris is None, reason="atheris is not installed")
def test_the_end_of_a_guided_process_is_noticed():
    assert guided.guided(Line("", ""), "no such reader", 5).broken == 1


def test_guided_fuzzing_has_the_same_readers():
    assert {reader.name for reader in fuzz.readers()} == {
        *guided.READERS,
        *guided.FOLDER_READERS,
        *guided.DATA_READERS,
    }


def seen_with_faults(tmp_path, program, **settings) -> list:
    """What a small program prints, as JSON, with the library of faults."""
    library = built(tmp_path)
    if library is None:
        pytest.skip("no C compiler here")
    done = subprocess.run(
        [sys.executable, "-c", f"import errno, fcntl, json, os, time\n{program}", str(tmp_path)],
        env=os.environ | {"LD_PRELOAD": str(library)} | fault(tmp_path, **settings),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    return json.loads(done.stdout)


WRITE = """
def written(call):
    file = os.open(os.path.abspath("f"), os.O_RDWR | os.O_CREAT)
    os.write(file, b"kept")
    os.fsync(file)
    os.write(file, b"lost")
    try:
        call(file)
    except OSError as error:
        return [error.errno, os.stat("f").st_size]
"""


@pytest.mark.parametrize(("call", "at"), [("close", 1), ("sync", 2)])
def test_a_failing_close_or_sync_loses_what_was_not_synced(tmp_path, call, at):
    program = f"{WRITE}print(json.dumps(written(os.{'fsync' if call == 'sync' else call})))"
    settings = {"call": call, "at": at, "what": FAIL, "errno": errno.EDQUOT, "lose": 1}
    assert seen_with_faults(tmp_path, program, **settings) == [errno.EDQUOT, 4]


def test_locks_fail_clocks_jump_and_late_names_are_not_seen(tmp_path):
    (tmp_path / "late").write_text("x")
    program = """
file = os.open(os.path.abspath("g"), os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(file, fcntl.LOCK_EX)
except OSError as error:
    locked = error.errno
folder = os.open(os.getcwd(), os.O_RDONLY)
paths = os.path.abspath("late"), "/dev/null", os.path.abspath("g")
names = [os.path.exists(path) for path in paths]
try:
    os.open("late", os.O_RDONLY, dir_fd=folder)
except OSError as error:
    names.append(error.errno)
steady, before = time.monotonic(), time.time()
times = [time.time() for _ in range(60)]
print(json.dumps([locked, names, times[-1] - before, time.monotonic() - steady < 60]))
"""
    settings = {"flock": errno.ENOLCK, "unseen": 0, "clock": -1000}
    locked, names, jump, is_steady = seen_with_faults(tmp_path, program, **settings)
    assert locked == errno.ENOLCK and names == [False, True, True, errno.ENOENT]
    assert -1001 < jump < -900 and is_steady


def test_a_writer_that_follows_links_is_noticed(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    for each in (folder, outside):
        each.mkdir()
        (each / "victim").write_text("before")
    before = strangers.contents(outside)
    with strangers.swapping(folder, outside, 0.5) as swaps:
        for _ in range(20_000):
            (folder / "victim").write_text("after")
            if strangers.contents(outside) != before:
                break
    assert strangers.contents(outside) != before and next(swaps) > 0


def test_torn_files_and_seconds_that_cannot_be_are_noticed(tmp_path):
    for name, whole, part in (
        ("finding.json", "{}", "{"),
        ("recipe.toml", "seed = 1\n", "seed = "),
        ("finding.html", "<html></html>\n", "<html>"),
    ):
        (tmp_path / name).write_text(whole)
        assert commands.torn(tmp_path) is None
        for content in (part, ""):
            (tmp_path / name).write_text(content)
            assert name in commands.torn(tmp_path)
        (tmp_path / name).write_text(whole)
    assert clocks.wrong_seconds({"seconds": {"total": 2.0}}) is None
    assert clocks.wrong_seconds({"seconds": {"total": -86400.0}}) is not None
