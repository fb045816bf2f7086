"""A run that is interrupted and resumed equals the uninterrupted run, bit for bit; a mismatch is refused."""

import contextlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from tests.made import blobs, net, problem
from thalweg.core.errors import DataError, ModelError, RecipeError, RunFolderError
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.averaging import EMA
from thalweg.recipe.optimizers import SAM, SGD, AdamW, ScheduleFreeSGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Constant, Plateau, WarmupCosine
from thalweg.run.checkpoint.store import Store
from thalweg.run.folder import log_stream
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.record import read
from thalweg.run.progress import Silent
from thalweg.run.restore import restore
from thalweg.run.resume import Change, resume
from thalweg.run.session import scheduler
from thalweg.run.spec import Halving, SaveOptions
from thalweg.run.train import train
from thalweg.run.verify import examine

FILES = ("final.safetensors", "best.safetensors", "steps.parquet", "layers.parquet", "test.parquet")
BASE = Recipe(AdamW(lr=0.01), schedule=WarmupCosine(), batch_size=16, epochs=12, clip_norm=1.0)


class BrokenOff(BaseException):
    """Stands for a kill, within one process: nothing is done after it."""


class BreakOff(Silent):
    """Breaks the run off at the first update from a step on; records the notes."""

    def __init__(self, step):
        self.step, self.notes = step, []

    def update(self, status):
        if status.step >= self.step:
            raise BrokenOff

    def note(self, text):
        self.notes.append(text)


def broken_off(at, recipe, folder, step, **more):
    with pytest.raises(BrokenOff):
        train(at, recipe, keep=SaveOptions(folder, every="7"), progress=BreakOff(step), **more)


def assert_same(first: Path, second: Path, files=FILES):
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file
    logs = [read(folder).evaluations.drop("seconds") for folder in (first, second)]
    assert logs[0].equals(logs[1], null_equal=True)
    results = [read(folder).result for folder in (first, second)]
    for name in ("steps", "stopped", "weights", "test_loss", "test_metric", "validation_loss", "best"):
        assert results[0].get(name) == results[1].get(name), name


RECIPES = {
    "adamw, a schedule, clipping": BASE,
    "momentum, batches drawn with replacement": Recipe(
        SGD(lr=0.05, momentum=0.9), batch_size=16, epochs=8, shuffle="replacement"
    ),
    "averaged weights": Recipe(AdamW(lr=0.01), averaging=EMA(), batch_size=16, epochs=8),
    "plateau": Recipe(SGD(lr=0.5), schedule=Plateau(patience=1), batch_size=16, epochs=12),
    "patience": Recipe(AdamW(lr=0.05), batch_size=16, epochs=400, patience=3),
    "two steps in one": Recipe(SAM(), batch_size=16, epochs=6),
    "schedule-free": Recipe(ScheduleFreeSGD(lr=0.02), batch_size=16, epochs=6),
    "accumulation, short last batch": Recipe(AdamW(lr=0.01), batch_size=13, epochs=6, last_batch="keep"),
    "diverges": Recipe(SGD(lr=1e4), batch_size=16, epochs=6),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_broken_off_run_resumes_bit_for_bit(name, tmp_path):
    recipe = RECIPES[name]
    train(problem(), recipe, keep=tmp_path / "whole")
    steps = read(tmp_path / "whole").result["steps"]
    broken_off(problem(), recipe, tmp_path / "broken", steps // 2)
    broken = tmp_path / "broken"
    resume(broken, problem())
    files = [file for file in FILES if (tmp_path / "whole" / file).exists()]
    assert_same(tmp_path / "whole", broken, files)
    assert not list(broken.glob("*.arrows")) and not examine(broken).damaged and examine(broken).ended
    assert read(broken).steps["step"].to_list() == list(range(read(broken).steps.height))  # none twice


def test_a_model_with_running_statistics_and_dropout_resumes_bit_for_bit(tmp_path):
    dropout = Problem(MLP([6, 16, 3], dropout=0.2, normalisation="batch"), blobs())
    recipe = Recipe(AdamW(lr=0.01), batch_size=16, epochs=6)
    train(dropout, recipe, keep=tmp_path / "whole")
    broken_off(dropout, recipe, tmp_path / "broken", 40)
    resume(tmp_path / "broken", dropout)
    assert_same(tmp_path / "whole", tmp_path / "broken")


def test_a_run_broken_off_many_times_resumes_bit_for_bit(tmp_path):
    train(problem(), BASE, keep=tmp_path / "whole")
    broken_off(problem(), BASE, tmp_path / "broken", 1)
    assert not Store(tmp_path / "broken").names()
    for step in (20, 30, 31, 60, 99, 140):
        with pytest.raises(BrokenOff):
            resume(tmp_path / "broken", problem(), progress=BreakOff(step))
    resume(tmp_path / "broken", problem())
    assert_same(tmp_path / "whole", tmp_path / "broken")


def test_an_interrupted_run_resumes_bit_for_bit(tmp_path):
    class Interrupting(Silent):
        def update(self, status):
            if status.step >= 50:
                signal.raise_signal(signal.SIGINT)

    train(problem(), BASE, keep=tmp_path / "whole")
    run = train(problem(), BASE, keep=tmp_path / "broken", progress=Interrupting())
    assert run.result["stopped"] == "interrupted" and examine(tmp_path / "broken").ended is False
    # What it had done is readable, and its state was saved although no checkpoint was due.
    assert read(tmp_path / "broken").steps.height == run.result["steps"]
    assert (
        Store(tmp_path / "broken").manifest(Store(tmp_path / "broken").names()[0]).step == run.result["steps"]
    )
    resume(tmp_path / "broken", problem())
    assert_same(tmp_path / "whole", tmp_path / "broken")


def test_an_evaluation_that_was_due_at_the_interrupt_is_made_first(tmp_path):
    """The update was made and not yet evaluated."""
    train(problem(), BASE, keep=tmp_path / "whole")
    due = read(tmp_path / "whole").evaluations["step"][0]

    class Interrupting(Silent):
        def update(self, status):
            if status.step == due:
                signal.raise_signal(signal.SIGINT)

    train(problem(), BASE, keep=tmp_path / "broken", progress=Interrupting())
    store = Store(tmp_path / "broken")
    facts = store.manifest(store.names()[0]).facts
    assert (facts["step"], facts["judged"]) == (due, 0)
    resume(tmp_path / "broken", problem())
    assert_same(tmp_path / "whole", tmp_path / "broken")


def sweep_recipes():
    return [with_rate(rate, seed) for seed in (0, 1) for rate in (1e-3, 1e-2, 1e4, 3e-2)]  # one diverges


def with_rate(rate, seed):
    return Recipe(SGD(lr=rate), schedule=WarmupCosine(), batch_size=16, epochs=8, seed=seed)


@pytest.mark.parametrize("halving", [None, Halving()])
def test_a_broken_off_sweep_resumes_bit_for_bit(tmp_path, halving, monkeypatch):
    monkeypatch.setattr(scheduler, "SECONDS_BETWEEN", 0.0)
    recipes = sweep_recipes()
    whole = train(problem(), recipes, keep=tmp_path / "whole", strict=True, halving=halving)
    broken_off(problem(), recipes, tmp_path / "broken", 20, strict=True, halving=halving)
    again = resume(tmp_path / "broken", problem())
    assert again.table.equals(whole.table, null_equal=True)
    assert "diverged" in whole.table["stopped"].to_list()
    assert ("halved" in whole.table["stopped"].to_list()) == (halving is not None)
    for lane in range(len(recipes)):
        first, second = (tmp_path / name / "lanes" / f"{lane:03d}" for name in ("whole", "broken"))
        assert_same(first, second, [file for file in FILES if (first / file).exists()])
    assert not (tmp_path / "broken" / "shards").exists() and not examine(tmp_path / "broken").damaged


def test_a_decision_at_a_rung_holds_for_a_shard_that_had_not_reached_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "SECONDS_BETWEEN", 0.0)
    recipes = sweep_recipes()
    whole = train(problem(), recipes, keep=tmp_path / "whole", strict=True, halving=Halving())
    rung = min(row["steps"] for row in whole.table.iter_rows(named=True) if row["stopped"] == "halved")

    class Beyond(Silent):
        def update(self, status):
            if any(lane.step > rung + 14 for lane in status.lanes):
                raise BrokenOff

    with pytest.raises(BrokenOff):
        keep = SaveOptions(tmp_path / "broken", every="7")
        train(problem(), recipes, keep=keep, strict=True, halving=Halving(), progress=Beyond())
    shards = sorted(path.parent for path in (tmp_path / "broken" / "shards").rglob("checkpoints"))
    if len(shards) < 2:
        pytest.skip("one core: one shard")
    reached = [Store(shard).manifest(Store(shard).names()[0]).step for shard in shards]
    assert max(reached) > rung
    shutil.rmtree(shards[reached.index(min(reached))] / "checkpoints")  # as if killed before its first
    assert resume(tmp_path / "broken", problem()).table.equals(whole.table, null_equal=True)


def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path):
    train(problem(), BASE, keep=tmp_path / "whole")
    broken_off(problem(), BASE, tmp_path / "broken", 60)
    newest = Store(tmp_path / "broken").folder / Store(tmp_path / "broken").names()[0]
    flip(newest / "arrays.safetensors")
    assert [finding.name for finding in examine(tmp_path / "broken").damaged] == [
        f"checkpoints/{newest.name}"
    ]
    listener = BreakOff(10**9)
    resume(tmp_path / "broken", problem(), progress=listener)
    assert any(newest.name in note and "damaged" in note for note in listener.notes)
    assert_same(tmp_path / "whole", tmp_path / "broken")


def test_a_damaged_log_is_noticed(tmp_path):
    train(problem(), BASE, keep=tmp_path / "whole")
    broken_off(problem(), BASE, tmp_path / "broken", 60)
    stream = tmp_path / "broken" / "steps.arrows"
    content = stream.read_bytes()
    stream.write_bytes(content[: len(content) // 3])
    listener = BreakOff(10**9)
    resume(tmp_path / "broken", problem(), progress=listener)
    assert any("log" in note for note in listener.notes)
    # The weights equal those of the whole run; lost rows stay lost, and none is there twice.
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    steps = read(tmp_path / "broken").steps["step"].to_list()
    assert len(set(steps)) == len(steps) and steps[-1] == read(tmp_path / "whole").steps["step"][-1]


def assert_same_weights(first, second):
    assert (first / "final.safetensors").read_bytes() == (second / "final.safetensors").read_bytes()


def test_run_json_is_not_needed_where_a_checkpoint_is_sound(tmp_path):
    train(problem(), BASE, keep=tmp_path / "whole")
    broken_off(problem(), BASE, tmp_path / "broken", 60)
    flip(tmp_path / "broken" / "run.json")
    listener = BreakOff(10**9)
    resume(tmp_path / "broken", problem(), progress=listener)
    assert any("run.json" in note for note in listener.notes)
    assert_same(tmp_path / "whole", tmp_path / "broken")


def test_changed_data_are_refused_and_the_change_is_named(tmp_path):
    broken_off(problem(), BASE, tmp_path / "run", 60)
    with pytest.raises(DataError, match="196 examples instead of 210"):
        resume(tmp_path / "run", Problem(net, blobs(count=280)))
    with pytest.raises(
        DataError, match="other values or in another order in the train, validation, test splits"
    ):
        resume(tmp_path / "run", Problem(net, blobs(seed=1)))
    with pytest.raises(ModelError, match="must have the model"):
        resume(tmp_path / "run", Problem(MLP([6, 4, 3]), blobs()))
    with pytest.raises(DataError, match="must be passed again"):
        resume(tmp_path / "run")


def test_two_processes_cannot_resume_one_run(tmp_path):
    broken_off(problem(), BASE, tmp_path / "run", 60)
    with Lock(tmp_path / "run"), pytest.raises(RunFolderError, match="one process at a time"):
        resume(tmp_path / "run", problem())
    with Lock(tmp_path / "run"), pytest.raises(RunFolderError, match="one process at a time"):
        train(problem(), BASE, keep=SaveOptions(tmp_path / "run", force=True))
    assert Store(tmp_path / "run").names()


def test_a_finished_run_is_extended(tmp_path):
    recipe = Recipe(AdamW(lr=0.01), schedule=Constant(), batch_size=16, epochs=4)
    train(problem(), Recipe.from_dict(recipe.to_dict() | {"epochs": 8}), keep=tmp_path / "whole")
    train(problem(), recipe, keep=tmp_path / "run")
    run = resume(tmp_path / "run", problem(), change=Change(epochs=8))
    assert (run.result["epochs"], run.result["stopped"]) == (8, "epochs")
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 8
    assert read(tmp_path / "run").recipe["epochs"] == 8


def test_a_schedule_that_had_ended_needs_stretch_or_hold(tmp_path):
    train(problem(), BASE, keep=tmp_path / "run")
    total = read(tmp_path / "run").result["steps"]
    with pytest.raises(RecipeError, match="say how it continues"):
        resume(tmp_path / "run", problem(), change=Change(epochs=24))
    held = resume(
        tmp_path / "run", problem(), change=Change(epochs=24, schedule="hold", out=tmp_path / "held")
    )
    rates = held.record.steps["learning_rate"].to_numpy()
    assert len(rates) == 2 * total and np.all(rates[total:] <= rates[total - 1])
    stretched = resume(
        tmp_path / "run", problem(), change=Change(epochs=24, schedule="stretch", out=tmp_path / "stretched")
    )
    rates = stretched.record.steps["learning_rate"].to_numpy()
    assert rates[total] > 0.4 * rates.max() and rates[-1] < 0.01 * rates.max()
    assert read(tmp_path / "run").result["steps"] == total  # as it was


def test_a_fork_begins_at_its_checkpoint_with_the_changed_setting(tmp_path):
    broken_off(problem(), BASE, tmp_path / "run", 60)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    listener = BreakOff(10**9)
    change = Change(at=50, settings=("optimizer.lr=1e-4",), out=tmp_path / "fork")
    fork = resume(tmp_path / "run", problem(), change=change, progress=listener)
    step = next(int(note.split()[3].strip(",")) for note in listener.notes if note.startswith("forking at"))
    assert 0 < step <= 50
    whole = train(problem(), BASE).record.steps
    assert fork.record.steps["loss"][:step].equals(whole["loss"][:step])
    assert fork.record.steps["learning_rate"][step] < 0.05 * whole["learning_rate"][step]
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    with pytest.raises(RecipeError, match="needs a folder of its own"):
        resume(tmp_path / "run", problem(), change=Change(settings=("optimizer.lr=1e-4",)))
    with pytest.raises(RunFolderError, match="must fit the problem and the recipe"):
        resume(
            tmp_path / "run",
            problem(),
            change=Change(settings=("averaging.name=ema",), out=tmp_path / "other"),
        )


def test_resuming_at_a_step_takes_the_nearest_checkpoint_before(tmp_path):
    train(problem(), BASE, keep=SaveOptions(tmp_path / "whole", every="7"))
    train(problem(), BASE, keep=SaveOptions(tmp_path / "run", every="7", last=50))
    steps = [int(name[5:15]) for name in Store(tmp_path / "run").names()]
    at = steps[len(steps) // 2] + 1
    with contextlib.suppress(BrokenOff):
        resume(tmp_path / "run", problem(), change=Change(at=at), progress=BreakOff(0))
    left = [int(name[5:15]) for name in Store(tmp_path / "run").names()]
    assert max(left) == max(step for step in steps if step <= at)
    resume(tmp_path / "run", problem())
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_rows_of_the_log_do_not_accumulate_in_memory(tmp_path, monkeypatch):
    """So that a run may last for weeks: rows are held only until they are on disk."""
    kept, most = [], 4096
    monkeypatch.setattr(log_stream, "HELD_BYTES", most)

    class Counting(Silent):
        def update(self, status):
            kept.append(pa.total_allocated_bytes())

    train(
        problem(), Recipe(SGD(lr=0.01), batch_size=16, epochs=60), keep=tmp_path / "run", progress=Counting()
    )
    assert len(kept) > 10 and max(kept[2:]) <= kept[2] + 4 * most  # three tables


def flip(file: Path):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_changed_file_of_a_finished_run_is_refused(tmp_path):
    train(Problem(MLP([6, 8, 3]), blobs()), BASE, keep=tmp_path / "run")
    assert isinstance(read(tmp_path / "run").steps, pl.DataFrame)
    flip(tmp_path / "run" / "steps.parquet")
    with pytest.raises(RunFolderError, match="as it was written"):
        read(tmp_path / "run")
    flip(tmp_path / "run" / "steps.parquet")  # and back
    restore(tmp_path / "run")
    flip(tmp_path / "run" / f"{read_result(tmp_path / 'run')['weights']}.safetensors")
    with pytest.raises(RunFolderError, match="as it was written"):
        restore(tmp_path / "run")


def read_result(folder):
    return json.loads((folder / "result.json").read_text())
