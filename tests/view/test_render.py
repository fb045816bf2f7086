"""`tw.render` takes what `train` returns, and folders; `progress` takes a function of a status."""

import pytest

import thalweg as tw
from tests.made import problem
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.run.progress import FunctionListener, Silent, Status, TrainingPlan, listener

RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=1)


def test_a_run_its_record_and_its_folder_have_the_same_page(tmp_path):
    run = tw.train(problem(), RECIPE, keep=tmp_path / "run", progress=False)
    pages = [tw.render(each) for each in (run, run.record, tmp_path / "run", str(tmp_path / "run"))]
    assert pages[0].startswith("<!doctype html>") and "test accuracy" in pages[0]
    # recipe.toml has the same settings in another order.
    assert pages[0] == pages[1] and pages[2] == pages[3] and len(pages[0]) == len(pages[2])


@pytest.mark.parametrize("what", [3, None, [], "no such folder"])
def test_other_things_are_refused(what):
    with pytest.raises(RunFolderError):
        tw.render(what)


@pytest.mark.parametrize("what", [5, "print", FunctionListener, object()])
def test_what_is_no_listener_is_refused_before_training(what):
    with pytest.raises(RecipeError, match=r"must be a function of a status.*\nhint: .*progress=print"):
        tw.train(problem(), RECIPE, progress=what)


def test_a_function_gets_every_status_and_message():
    lines = []
    told = FunctionListener(lambda status: lines.append(str(status)))
    told.start(TrainingPlan("digits", 200))
    for step in (60, 120):
        told.update(Status(step, loss=0.25, metric_name="accuracy", metric=0.5, total_steps=200))
    told.note("a file")
    told.finish({"stopped": {"epochs": 3, "diverged": 1}})
    assert lines == [
        "digits: 200 steps",
        "step 60/200, loss 0.25, accuracy 0.5",
        "step 120/200, loss 0.25, accuracy 0.5",
        "a file",
        "digits: stopped (3 epochs, 1 diverged)",
    ]
    assert listener(told) is told and isinstance(listener(None), Silent)
