"""The checklist: points are judged by what a recipe does, and what it proposes follows them."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import thalweg as tw
from tests.doors.process import called
from thalweg.lab import book
from thalweg.lab.audit import audit, verdicts
from thalweg.lab.checklist import FOLLOWED, MISSED, OPEN, UNUSED
from thalweg.lab.points import POINTS
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import verdicts as script

PLAIN = tw.Recipe(tw.SGD(lr=5.0), batch_size=1, shuffle="none")
# A recipe, and the status of points that it must give.
CASES = [
    (PLAIN, {"shuffle": MISSED, "mini-batches": MISSED, "rate": MISSED, "optimizer": MISSED}),
    (PLAIN, {"warmup": MISSED, "decay of the rate": MISSED, "clipping": MISSED, "tuned rate": OPEN}),
    (tw.Recipe(schedule=tw.WarmupCosine()), {"warmup": FOLLOWED, "decay of the rate": FOLLOWED}),
    (tw.Recipe(schedule=tw.OneCycle()), {"warmup": FOLLOWED, "decay of the rate": FOLLOWED}),
    (tw.Recipe(schedule=tw.Cosine()), {"warmup": MISSED, "decay of the rate": FOLLOWED}),
    (tw.Recipe(schedule=tw.Warmup(length=2.0)), {"warmup": FOLLOWED, "decay of the rate": MISSED}),
    (tw.Recipe(schedule=tw.Cosine(floor=0.9)), {"decay of the rate": MISSED}),
    (tw.Recipe(schedule=tw.Plateau()), {"decay of the rate": FOLLOWED}),
    (tw.Recipe(tw.SGD(momentum=0.9)), {"optimizer": FOLLOWED, "weight decay": MISSED}),
    (
        tw.Recipe(tw.SGD(lr=0.02), rate_rule="linear", batch_size=4096),
        {"rate": MISSED, "large batch": FOLLOWED},
    ),
    (tw.Recipe(batch_size=1024), {"large batch": MISSED, "mini-batches": MISSED}),
    (tw.Recipe(batch_size="full"), {"shuffle": UNUSED, "mini-batches": MISSED, "large batch": UNUSED}),
    (tw.Recipe(clip_value=1.0, patience=3), {"clipping": FOLLOWED, "early stopping": FOLLOWED}),
]


def statuses(result):
    return {row.point: row.status for row in result}


@pytest.mark.parametrize(("recipe", "expected"), CASES)
def test_points_are_judged_by_what_the_recipe_does(recipe, expected):
    assert statuses(audit(recipe)).items() >= expected.items()


@pytest.mark.parametrize("recipe", [PLAIN, *(entry.recipe for entry in tw.BOOK.values())])
def test_what_is_proposed_follows_the_point_that_it_is_proposed_for(recipe):
    for row in audit(recipe):
        assert not row.change or row.status == MISSED
        if row.change:
            changed = Recipe.from_dict(toml.settings(recipe.to_dict(), row.change))
            assert statuses(audit(changed))[row.point] == FOLLOWED, row


def problem(*hidden, data=None, **settings):
    random = np.random.default_rng(0)
    arrays = random.normal(size=(400, 6)).astype(np.float32), np.arange(400) % 3
    chosen = tw.load(arrays, validation=0.25, test=0.0) if data is None else data
    return tw.Problem(tw.MLP([None, *hidden, None], **settings), chosen)


def ensemble(*hidden):
    return tw.Problem(tw.Tabular((None, *hidden, None), members=2, embedding="periodic"), problem().data)


@pytest.mark.parametrize(
    ("built", "recipe", "expected"),
    [
        (lambda: problem(8), PLAIN, {"depth": UNUSED, "loss": FOLLOWED, "batch norm": UNUSED}),
        (lambda: problem(8), tw.Recipe(), {"mini-batches": MISSED, "dropout": UNUSED, "inputs": FOLLOWED}),
        (
            lambda: problem(8),
            tw.Recipe(batch_size=16),
            {"mini-batches": FOLLOWED, "early stopping": FOLLOWED},
        ),
        (lambda: problem(*[8] * 7), PLAIN, {"depth": MISSED, "initialisation": FOLLOWED}),
        (lambda: problem(*[8] * 7, skip=True), PLAIN, {"depth": FOLLOWED}),
        (lambda: problem(8, activation="tanh"), PLAIN, {"initialisation": MISSED}),
        (lambda: problem(512), PLAIN, {"dropout": MISSED}),
        (lambda: problem(512, dropout=0.5), PLAIN, {"dropout": FOLLOWED}),
        (lambda: problem(8, normalisation="batch"), tw.Recipe(batch_size=4), {"batch norm": MISSED}),
        (lambda: problem(8, normalisation="batch"), tw.Recipe(batch_size=37), {"batch norm": MISSED}),
        (lambda: problem(8, normalisation="batch"), tw.Recipe(batch_size=50), {"batch norm": FOLLOWED}),
    ],
)
def test_points_about_model_and_data_need_a_problem(built, recipe, expected):
    given = statuses(audit(recipe, built()))
    assert given.items() >= expected.items()
    assert OPEN not in given.values()
    assert statuses(audit(recipe))["loss"] == OPEN


@pytest.mark.parametrize(("hidden", "depth"), [(2, UNUSED), (7, MISSED)])
def test_members_of_an_ensemble_are_no_layers(hidden, depth):
    assert statuses(audit(PLAIN, ensemble(*[8] * hidden)))["depth"] == depth


def test_raw_inputs_and_another_loss_are_seen():
    rows = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    raw = tw.examples(50 * rows, targets=np.arange(100) % 2)
    given = statuses(audit(PLAIN, tw.Problem(tw.MLP([None, 8, None]), raw, "hinge")))
    assert (given["inputs"], given["loss"]) == (MISSED, MISSED)


def test_every_point_is_tried_by_experiments_that_there_are():
    for point in POINTS:
        assert point.experiments and set(point.experiments) <= set(book.names()), point.name
        assert point.advice.endswith(".") and point.source
    assert len({point.name for point in POINTS}) == len(POINTS)


def test_the_shipped_verdicts_are_those_of_the_book():
    assert verdicts() == script.verdicts(), "run python scripts/verdicts.py"
    assert set(verdicts()) == set(book.names())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "run"
    tw.train(problem(4), replace(PLAIN, batch_size=50, epochs=1), keep=path)
    return path


def test_a_run_says_what_its_recipe_and_problem_do(folder):
    from_folder, from_parts = audit(folder), audit(replace(PLAIN, batch_size=50, epochs=1), problem(4))
    assert [row for row in from_folder if row.point != "tuned rate"] == [
        row for row in from_parts if row.point != "tuned rate"
    ]
    assert from_folder.subject == str(folder)
    assert statuses(audit(tw.read(folder))) == statuses(from_folder)


def test_the_command_prints_the_list_and_gives_it_as_json(folder, tmp_path):
    process = called("audit", str(folder), at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "not followed" in process.stdout and "--set shuffle=reshuffle" in process.stdout
    assert f"lab shuffling: {verdicts()['shuffling']}" in process.stdout
    process = called("audit", "sgd", "--json", at=tmp_path)
    assert json.loads(process.stdout) == json.loads(json.dumps(audit("sgd").to_dict()))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("sdg", "did you mean 'sgd'?"),
        ("nowhere/recipe.toml", "must be a recipe of the book"),
        (".", "must hold a run"),
    ],
)
def test_what_is_no_recipe_and_no_run_is_refused(what, words, tmp_path):
    process = called("audit", what, at=tmp_path)
    assert process.returncode == 2
    assert words in process.stderr, process.stderr


def test_a_run_takes_no_other_problem(folder):
    with pytest.raises(tw.BadInput, match="problem of its own"):
        audit(folder, problem(4))
