"""The quick trials break no promise, and every kind of trial notices a planted defect."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.faults import damage, diverging, fuzz, guided, kills, power, victim
from tests.faults.__main__ import TRIALS
from tests.faults.tally import Line
from thalweg.run.checkpoint import store as checkpoints
from thalweg.run.checkpoint.safetensors_io import decode
from thalweg.run.checkpoint.store import ARRAYS, Store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "trial",
    [name for name in TRIALS if name not in ("mnist", "soak")],  # these run only in full
)
def test_quick_trials_break_no_promise(trial):
    # In a process of its own, because writers are forked, which JAX does not support.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--quick", "--only", trial],
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
    }
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
    assert {reader.name for reader in fuzz.readers()} == {*guided.READERS, *guided.DATA_READERS}
