"""Training rows on the host: the same bits as resident data, each row read once, and on no other device."""

import json
import sys
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

import thalweg as tw
from tests.engine.test_loop import Fixed, same_bits
from tests.made import blobs
from thalweg.core import device
from thalweg.core.errors import BadInput, RunFolderError
from thalweg.doors.cli.app import _outcome
from thalweg.engine import group as groups
from thalweg.engine.dispatch import run_chunks
from thalweg.engine.feeds.gathered import GatheredFeed, to_evaluate
from thalweg.engine.group import init_group
from thalweg.problem.data.load import load
from thalweg.problem.data.split import Rows, Sequences, SeriesWindows, Windows
from thalweg.problem.data.stream import stream
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.problem.data.weights import WeightedRows
from thalweg.problem.models import MLP, parse
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.folder import RUN_FILE
from thalweg.run.resume import Change, resume
from thalweg.run.spec import RunSpec, SaveOptions
from thalweg.run.train import stream_train, train

# 210 training rows: 13 batches of 16 and a short one.
NOISY = Problem(MLP([6, 8, 3], normalisation="batch", dropout=0.3), blobs())
RECIPE = Recipe(AdamW(lr=0.01), batch_size=16, epochs=5)
QUIET: dict[str, Any] = {"progress": False}


def assert_same_run(one, other):
    assert same_bits((one.params, one.model_state), (other.params, other.model_state))
    for name in ("steps", "layers"):
        assert getattr(one.record, name).equals(getattr(other.record, name)), name
    first, second = (run.record.evaluations.drop("seconds") for run in (one, other))
    assert first.equals(second)
    timed = {"seconds", "examples_per_second", "run", "cost", "decisions"}  # as far as there is time
    assert {k: v for k, v in one.result.items() if k not in timed} == {
        k: v for k, v in other.result.items() if k not in timed
    }


@pytest.fixture
def feeds(monkeypatch):
    """Return the feeds of rows on the host, as they are made."""
    made: list[GatheredFeed] = []
    build = groups.gathered

    def noted(*arguments):
        made.append(build(*arguments))
        return made[-1]

    monkeypatch.setattr(groups, "gathered", noted)
    return made


@pytest.mark.parametrize(
    "changes", [{}, {"accumulate": 3}, {"batch_size": 1, "epochs": 2}, {"shuffle": "replacement"}]
)
def test_a_run_has_the_bits_of_resident_data(changes, feeds):
    recipe = replace(RECIPE, **changes)
    assert_same_run(train(NOISY, recipe, **QUIET), train(NOISY, recipe, data_on="host", **QUIET))
    assert len(feeds) == 1  # of the second


@pytest.mark.optimised
@pytest.mark.parametrize("strict", [True, False])
def test_lanes_of_several_seeds_have_the_bits_of_resident_data(strict):
    recipes = [replace(RECIPE, seed=seed, optimizer=AdamW(lr=lr)) for seed in (0, 1) for lr in (0.003, 0.01)]
    resident = train(NOISY, recipes, strict=strict, **QUIET)
    host = train(NOISY, recipes, strict=strict, data_on="host", **QUIET)
    for one, other in zip(resident, host, strict=True):
        assert_same_run(one, other)
    assert not same_bits(host[0].params, host[2].params)


def looped(length, start=0, stop=40, states=None, seeds=(0,)):
    group, first = init_group(NOISY, [replace(RECIPE, seed=seed) for seed in seeds], data_on="host")
    states = first if states is None else states
    for moved in run_chunks(group, states, start, stop, Fixed(length)):
        states = moved.states
    return group, states


def test_the_length_of_a_dispatch_changes_nothing_and_any_step_can_be_reached_again():
    _, whole = looped(40)
    for length in (1, 7, 39):
        assert same_bits(looped(length)[1], whole)
    _, half = looped(7, stop=17)
    assert same_bits(looped(9, start=17, states=half)[1], whole)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_every_row_is_read_once_however_long_chunks_turn_out_to_be(seeds):
    class Guessed(Fixed):
        def observe(self, steps, seconds):  # longer or shorter than what was expected when rows were read
            self.steps = 3 + (5 * steps) % 11

    group, states = init_group(NOISY, [replace(RECIPE, seed=seed) for seed in seeds], data_on="host")
    for moved in run_chunks(group, states, 0, group.total, Guessed(4)):
        states = moved.states
    assert group.feed.gathered == group.total * 16 * len(seeds)
    assert same_bits(states, looped(group.total, stop=group.total, seeds=seeds)[1])


def test_batches_larger_than_a_dispatch_are_sent_two_by_two(monkeypatch):
    monkeypatch.setattr("thalweg.engine.feeds.gathered.DISPATCH_BYTES", 1)
    group, states = looped(2)
    assert group.program.capacity == 2
    monkeypatch.undo()
    assert same_bits(states, looped(40)[1])


def test_an_error_while_rows_are_read_ahead_ends_the_run(monkeypatch):
    group, states = init_group(NOISY, [RECIPE], data_on="host")
    chunks = run_chunks(group, states, 0, 40, Fixed(4))
    next(chunks)
    group.feed._ahead.finish(4)  # the thread has read what it was to read

    def fails(self, indices):  # once
        monkeypatch.undo()
        raise OSError("the disk is gone")

    monkeypatch.setattr(Rows, "gather", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        list(chunks)


TOKENS = np.random.default_rng(0).integers(0, 50, 400).astype(np.uint8)
NUMBERS = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
KNOWN = np.maximum.accumulate(np.where(np.arange(60) % 7, np.arange(60), -1)).astype(np.int32)
SPLITS = {
    "rows": Rows({"a": NUMBERS, "b": NUMBERS[:, 0]}, np.arange(60, dtype=np.int32)),
    "weighted": WeightedRows(NUMBERS, np.arange(60), np.linspace(0, 2, 60, dtype=np.float32)),
    "members": MemberRows(NUMBERS, np.arange(60), np.arange(60, dtype=np.int32) % 5),
    "text": Windows(TOKENS, 8, 3),
    "sequences": Sequences(TOKENS.reshape(40, 10), np.arange(40, dtype=np.int32) % 9 + 1, np.float32(4.5)),
    "series": SeriesWindows(NUMBERS, NUMBERS[:, 0], np.arange(50, dtype=np.int32), 6, 2),
    "changes": SeriesWindows(
        NUMBERS, NUMBERS[:, 0], np.arange(50, dtype=np.int32), 6, 2, known=KNOWN, change_scale=3.7
    ),
    "classes": SeriesWindows(NUMBERS, np.arange(60, dtype=np.int32) % 3, np.arange(50, dtype=np.int32), 6),
}


@pytest.mark.parametrize("name", SPLITS)
def test_rows_read_on_the_host_are_those_that_the_device_reads(name):
    split = SPLITS[name]
    indices = np.random.default_rng(2).integers(0, split.count(), 17)
    here, there = split.gather(indices), split.batch(indices)
    assert jax.tree.structure(here) == jax.tree.structure(there)
    for one, other in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        canonical = np.asarray(one, jax.dtypes.canonicalize_dtype(one.dtype))
        assert isinstance(one, np.ndarray) and canonical.dtype == other.dtype
        assert np.array_equal(canonical, other)


@pytest.mark.parametrize(
    ("source", "model", "options"),
    [
        # Compiled quickly, programs of these differ in the last bit.
        pytest.param("text", "gru:8", {}, marks=pytest.mark.optimised),
        pytest.param("lines", "gru:8", {}, marks=[pytest.mark.optimised, pytest.mark.long]),
        ("series", "gru:8", {}),
        ("weights", "mlp:8", {}),
        ("table", None, {"target": "c"}),
    ],
)
def test_other_kinds_of_data_have_the_bits_of_resident_data(source, model, options, tmp_path):
    rng = np.random.default_rng(0)
    if source in ("text", "lines"):
        path = tmp_path / "text.txt"
        words = ["".join(rng.choice(list("abcdef"), rng.integers(2, 9))) for _ in range(150)]
        path.write_text("\n".join(words))
        data = load(path, lines=source == "lines", **({"context": 8} if source == "text" else {}))
    elif source == "series":
        rows = np.cumsum(rng.normal(size=(300, 2)), axis=0)
        path = tmp_path / "series.csv"
        path.write_text("a,b\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in rows))
        data = load(path, target="b", window=6)
    elif source == "weights":
        x = rng.normal(size=(200, 4)).astype(np.float32)
        data = load((x, (x[:, 0] > 0).astype(int)), weights=rng.uniform(0.5, 2, 200))
    else:
        path = tmp_path / "table.csv"
        x = rng.normal(size=(250, 2))
        path.write_text("a,b,c\n" + "\n".join(f"{a:.3f},{b:.3f},{'yn'[int(a > b)]}" for a, b in x))
        data = path
    more = {"epochs": 2, "references": False, **QUIET, **options}
    one, other = (tw.fit(data, model, data_on=place, **more) for place in ("device", "host"))
    assert_same_run(one, other)


def test_a_large_training_split_is_evaluated_on_the_same_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(31_000, 3)).astype(np.float32)
    data = load((x, (x.sum(axis=1) > 0).astype(int)))
    more = {"metric": ["accuracy", "roc_auc"], "steps": 5, "references": False, **QUIET}
    one, other = (tw.fit(data, "mlp:4", data_on=place, **more) for place in ("device", "host"))
    assert_same_run(one, other)
    group, _ = init_group(Problem(MLP([3, 4, 2]), data), [replace(RECIPE, epochs=1)], data_on="host")
    sample, stride = to_evaluate(group.feed, "train", data.train, 3)
    assert (sample.count(), stride) == (-(-data.train.count() // 3), 1)
    assert to_evaluate(group.feed, "test", data.test, 1) == (data.test, 1)


@pytest.mark.parametrize("after", [None, "device"])
def test_a_run_resumes_with_the_bits_of_an_undisturbed_one(after, tmp_path, feeds):
    whole = train(NOISY, RECIPE, keep=tmp_path / "whole", **QUIET)
    cut = stream_train(
        NOISY, RECIPE, keep=SaveOptions(tmp_path / "cut", every="10"), data_on="host", every=10
    )
    for status in cut:
        if status.step >= 30:
            break
    cut.close()  # as a kill would
    before = len(feeds)
    run = resume(tmp_path / "cut", NOISY, data_on=after, **QUIET)
    assert_same_run(whole, run)
    assert len(feeds) - before == (after is None)
    origin = json.loads((tmp_path / "cut" / RUN_FILE).read_text())["origin"]
    assert origin["data_on"] == (after or "host")


def test_a_folder_of_before_has_its_rows_on_the_device(tmp_path):
    train(NOISY, RECIPE, keep=tmp_path / "run", **QUIET)
    origin = json.loads((tmp_path / "run" / RUN_FILE).read_text())["origin"]
    assert origin.pop("data_on") == "device"
    assert RunSpec.from_dict(origin, "run.json").data_on == "device"
    with pytest.raises(RunFolderError, match="data_on must be device or host"):
        RunSpec.from_dict(origin | {"data_on": "moon"}, "run.json")


def at_shell(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, arguments)])
    return _outcome()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "iris", "--model", "linear", "--epochs", 1, "--no-references"],
        ["sweep", "iris", "--model", "linear", "--epochs", 1, "--vary", "seed=0,1"],
    ],
)
def test_the_option_of_the_command_line_reaches_the_feed(arguments, tmp_path, monkeypatch, capsys, feeds):
    out = tmp_path / "run"
    assert at_shell(monkeypatch, *arguments, "--out", out, "-q", "--data-on", "host") == 0
    assert feeds and json.loads((out / RUN_FILE).read_text())["origin"]["data_on"] == "host"
    assert at_shell(monkeypatch, *arguments, "--out", tmp_path / "other", "-q") == 0
    reached = len(feeds)
    assert json.loads((tmp_path / "other" / RUN_FILE).read_text())["origin"]["data_on"] == "device"
    if arguments[0] == "fit":
        capsys.readouterr()
        for folder, said in ((out, True), (tmp_path / "other", False)):
            assert at_shell(monkeypatch, "show", folder) == 0
            assert ("training rows on the host" in " ".join(capsys.readouterr().out.split())) == said
    if arguments[0] == "fit":
        longer = ["resume", out, "--schedule", "stretch", "-q"]
        assert at_shell(monkeypatch, *longer, "--epochs", 2, "--data-on", "device") == 0
        assert len(feeds) == reached
        assert at_shell(monkeypatch, *longer, "--epochs", 3, "--data-on", "host") == 0
        assert len(feeds) == reached + 1


def test_what_fit_resumes_goes_where_it_says(tmp_path, feeds):
    given: dict[str, Any] = {"keep": tmp_path / "run", "resume": True, "references": False, **QUIET}
    tw.fit("iris", "linear", epochs=1, **given)
    assert not feeds
    resume(tmp_path / "run", change=Change(epochs=2, schedule="stretch"), data_on="host", **QUIET)
    assert len(feeds) == 1
    tw.fit("iris", "linear", epochs=2, data_on="device", **given)
    assert len(feeds) == 1


def endless(start):
    while True:
        yield np.zeros((16, 6), np.float32), np.zeros(16, np.int32)


@pytest.mark.parametrize(
    ("data", "changes", "given", "words"),
    [
        (blobs(), {}, "moon", "data_on: must be device or host; got moon"),
        (
            lambda: stream(endless, classes=3),
            {"epochs": None, "steps": 3},
            "host",
            "a stream is on the host anyway",
        ),
        (lambda: load("iris", folds=3), {}, "host", "must be the device for folds"),
        (lambda: load("text.txt", context=8), {"shuffle": "continued"}, "host", "where a state is carried"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(data, changes, given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog " * 40)
    data = data() if callable(data) else data
    problem = Problem(parse("lstm:4") if data.task == "language" else None, data)
    with pytest.raises(BadInput, match=words):
        train(problem, replace(RECIPE, **changes), data_on=given, keep=tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("free", "place"), [(None, "device"), (10**9, "device"), (5_000, "host")])
def test_an_accelerator_with_too_little_memory_leaves_the_rows_on_the_host(
    free, place, monkeypatch, tmp_path
):
    monkeypatch.setattr("thalweg.run.validate.free_on_accelerator", lambda: free)
    notes: list[str] = []
    for data_on in (None, "device"):
        out = tmp_path / str(data_on)
        stream_train(NOISY, RECIPE, keep=out, data_on=data_on, progress=Noting(notes)).result()
        origin = json.loads((out / RUN_FILE).read_text())["origin"]
        assert origin["data_on"] == (data_on or place)
    said = [note for note in notes if "the training rows stay on the host (data_on='host')" in note]
    assert len(said) == (place == "host")


def test_what_is_free_is_asked_of_accelerators_only(monkeypatch):
    class Card:
        def __init__(self, **stats):
            self.memory_stats = lambda: stats

    cards = [Card(bytes_limit=100, bytes_in_use=30), Card(bytes_limit=100, bytes_in_use=60)]
    monkeypatch.setattr(device.jax, "local_devices", lambda backend: cards)
    assert device.free_on_accelerator() is None
    monkeypatch.setattr(device, "on_cpu", lambda: False)
    assert device.free_on_accelerator() == 40
    cards.append(Card())
    assert device.free_on_accelerator() is None


class Noting:
    """A listener that keeps what it is told."""

    def __init__(self, notes):
        self.note = notes.append

    def start(self, plan): ...
    def update(self, status): ...
    def finish(self, result): ...


def test_pictures_of_a_mapped_file_are_read_from_the_file(tmp_path, feeds):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (600, 9, 9), dtype=np.uint8))
    x, y = np.load(tmp_path / "x.npy", mmap_mode="r"), rng.integers(0, 3, 600)
    data = load((x, y), split="time", test=0.2)
    assert all(np.shares_memory(split.inputs, x) for split in data.splits.values())
    problem = Problem(MLP([81, 4, 3]), data)
    host = train(problem, RECIPE, data_on="host", **QUIET)
    assert np.shares_memory(feeds[0].split.inputs, x)
    assert_same_run(
        train(Problem(MLP([81, 4, 3]), load((np.array(x), y), split="time", test=0.2)), RECIPE, **QUIET), host
    )
    assert not np.shares_memory(load((x, y)).train.inputs, x)  # drawn rows are copied
    writable = np.load(tmp_path / "x.npy", mmap_mode="r+")
    assert not np.shares_memory(load((writable, y), split="time").train.inputs, writable)
