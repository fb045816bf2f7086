"""`fit` says in one line what is certain before anything is compiled."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import thalweg as tw
from tests.insight.doctor.programs import blobs
from thalweg.doors.cli import doctor
from thalweg.insight.doctor import judge
from thalweg.insight.doctor.arms import Result
from thalweg.insight.doctor.diagnose import diagnosed
from thalweg.insight.doctor.notice import noticed
from thalweg.insight.fit import fit
from thalweg.run.progress import Silent

DATA = tw.load(blobs())
SORTED = dataclasses.replace(
    DATA,
    train=tw.Rows(
        *(
            np.asarray(each)[np.argsort(DATA.train.targets)]
            for each in (DATA.train.inputs, DATA.train.targets)
        )
    ),
)


@pytest.mark.parametrize(
    ("model", "recipe", "data", "word"),
    [
        (tw.MLP([None, 8, None], initialisation="zeros"), tw.Recipe(), DATA, "init_symmetric"),
        (tw.MLP([None, 8, None], dropout=0.95), tw.Recipe(), DATA, "dropout_high"),
        (
            tw.MLP([None, 8, None], normalisation="batch"),
            tw.Recipe(batch_size=2),
            DATA,
            "batchnorm_small_batch",
        ),
        (tw.MLP([None, 8, None]), tw.Recipe(tw.AdamW(weight_decay=100.0)), DATA, "decay_strong"),
        (tw.MLP([None, 8, None]), tw.Recipe(batch_size=8, shuffle="none"), SORTED, "data_unshuffled"),
    ],
)
def test_a_certain_fault_is_one_line(model, recipe, data, word):
    line = noticed(tw.Problem(model, data), recipe)
    assert line is not None
    assert word in line
    assert "\n" not in line


def test_a_usual_run_is_silent():
    assert noticed(tw.Problem(tw.MLP([None, 8, None]), DATA), tw.Recipe()) is None


class Notes(Silent):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


def test_fit_says_it():
    listener = Notes()
    fit(DATA, tw.MLP([None, 8, None], initialisation="zeros"), tw.Recipe(steps=1), progress=listener)
    assert any("init_symmetric" in note for note in listener.texts)


def test_the_command_of_a_repair_reads_the_data_as_the_run_did(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("y,x\n" + "\n".join(f"{row % 2},{row}" for row in range(40)))
    problem = tw.Problem(tw.MLP([1, 4, 2]), tw.load(str(table), target="y"))
    run = tmp_path / "run"
    recipe = tw.Recipe(tw.SGD(lr=0.1), steps=2, batch_size=8)
    fit(problem.data, problem.model, recipe, keep=run, progress=False)
    diagnosis = SimpleNamespace(repaired=(problem, None))
    command = doctor._command({"data": str(run), "target": None}, diagnosis, tmp_path / "d")
    assert command.startswith(
        f"thalweg fit {table} --recipe {tmp_path / 'd' / 'recipe.toml'} --model mlp:1-4-2"
    )
    assert command.endswith("--target y")


@pytest.mark.parametrize(("rate", "cause"), [(1e-7, "lr_low"), (0.1, None)])
def test_a_look_at_a_run_says_what_the_run_says(tmp_path, rate, cause):
    problem = tw.Problem(tw.MLP([None, 8, None]), DATA)
    recipe = tw.Recipe(tw.SGD(lr=rate), steps=200, batch_size=16)
    fit(problem.data, problem.model, recipe, keep=tmp_path / "run", progress=False)
    options = {"data": str(tmp_path / "run"), "quick": True, "budget": 10.0}
    finished = doctor._finished(options, problem)
    diagnosis = diagnosed(problem, recipe, 0.0, 3, True, Silent(), finished)
    assert [each.name for each in diagnosis.causes[:1]] == ([cause] if cause else [])
    assert diagnosis.healthy == (cause is None)
    assert len(diagnosis.arms) == 1 and diagnosis.cost.updates == 0
    assert doctor._finished({**options, "quick": False}, problem) is None
    assert doctor._finished({**options, "data": "digits"}, problem) is None


def test_a_loss_that_only_differs_between_batches_is_flat():
    random = np.random.default_rng(0)
    curve = 1.7 * (1 + 0.04 * random.normal(size=40))
    curve[0] *= 1.06
    base = Result("base", (0.5,), (0.5,), (curve,), (None,), 80, ())
    view = SimpleNamespace(profile=None, anatomy=SimpleNamespace(kind="none", classes=None, train=None))
    assert [each.name for each in judge._of_loss(view, base)] == ["loss_flat"]
