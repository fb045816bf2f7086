"""The quick tally holds; and every kind of trial notices a fault that is planted."""

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
from thalweg.run.checkpoint.safetensors_io import decoded
from thalweg.run.checkpoint.store import ARRAYS, Store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "trial",
    [name for name in TRIALS if name not in ("mnist", "soak")],  # these are only tried in full
)
def test_the_quick_tally_holds(trial):
    # A process of its own: writers are forked, which JAX in this one would not like.
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
    careless = type("Careless", (power.Disk,), {call: lambda self, given: self._turn()})
    (line,) = power.power_cuts(False, careless)
    assert line.broken > 100


def test_the_judge_notices_a_half_written_checkpoint(tmp_path):
    victim.write_runs(tmp_path, 0, 3, lambda step: None)
    assert victim.judged(tmp_path, 2) == (2, None)
    shutil.rmtree(tmp_path / "checkpoints" / "step-0000000002")
    assert "said to be on the disk" in victim.judged(tmp_path, 2)[1]
    (tmp_path / "checkpoints" / "step-0000000001" / "manifest.json").unlink()
    assert "visible and damaged" in victim.judged(tmp_path, 1)[1]


def test_the_judge_notices_other_content(tmp_path):
    victim.write_runs(tmp_path, 0, 1, lambda step: None)
    store = Store(tmp_path, victim.RUN)
    store.commit(5, victim.arrays_of(4), victim.facts_of(5))
    assert "holds something else" in victim.judged(tmp_path, 5)[1]


def test_a_writer_that_renames_too_early_is_noticed(tmp_path, monkeypatch):
    """Commit as a careless writer would: under the final name from the start."""
    monkeypatch.setattr(checkpoints, "LEFT_OVER", "")
    seen = Line("", "")
    folder = tmp_path / "run"
    for length in range(1, 9):
        folder.mkdir()
        disk = _Stopping(length)
        try:
            victim.write_runs(folder, 0, 1, lambda step: None, disk)
        except power.Cut:
            seen.add(victim.judged(folder, None)[1])
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


def test_damage_notices_a_reader_that_believes_everything(monkeypatch):
    def believing(self, name):
        manifest = self.manifest(name)
        content = self._files.read(self.folder / name / ARRAYS, 1 << 20)
        arrays = decoded(content, manifest.arrays, name)
        return checkpoints.Checkpoint(self.folder / name, manifest, arrays)

    monkeypatch.setattr(Store, "read", believing)
    assert any(line.broken for line in damage.damaged_files(False))


def test_kills_count_what_was_said_to_be_durable():
    assert kills.QUICK >= 300 and kills.FULL >= 10_000


def test_a_diverging_run_has_every_kind_place_and_instant_also_when_it_is_quick():
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
def test_fuzzing_notices_a_reader_that_is_not_careful(read, wrong, tmp_path):
    place = tmp_path / "inside"
    place.mkdir()
    with fuzz.limits():
        assert wrong in fuzz.wrong_with(fuzz.Reader("careless", b"", read), b"", place, Line("", ""))


@pytest.mark.skipif(guided.atheris is None, reason="atheris is not installed")
def test_a_guided_reader_whose_process_ends_is_noticed():
    assert guided.guided(Line("", ""), "no such reader", 5).broken == 1


def test_guided_readers_are_those_that_are_fuzzed():
    assert {reader.name for reader in fuzz.readers()} == {*guided.READERS, *guided.DATA_READERS}
