"""What a notebook shows: the cell of a run that trains, the forms of results, and a notebook as a whole."""

import re
from pathlib import Path

import pytest

import thalweg as tw
from tests.made import problem
from thalweg.core.errors import BadInput
from thalweg.run.progress import LaneStatus, Status, TrainingPlan
from thalweg.view.notebook import Cell, Figure, in_notebook

RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=3)
NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def parsed(html: str) -> str:
    """Return the text of a form, which refers to nothing outside and runs no script."""
    assert not re.search(r"<script(?! type=\"application/json\")|https?://|@import", html)
    assert html.startswith('<div class="thalweg"><style>.thalweg{') and html.count("<style>") == 1
    text = re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(text.split())


@pytest.fixture(scope="module")
def run():
    return tw.train(problem(), RECIPE)


@pytest.fixture(scope="module")
def runs():
    return tw.train(problem(), RECIPE.vary(lr=[0.01, 0.1], seed=[0, 1]))


def test_a_run_shows_its_result_and_its_curves(run):
    text = parsed(run._repr_html_())
    assert "test accuracy" in text and "Loss" in text and "Learning rate" in text
    assert run._repr_html_().count("<svg") == 3 and "completed" in text


def test_a_run_is_a_line_or_two(run, tmp_path):
    assert re.fullmatch(r"Run\(Net on blobs, 21 steps, stopped: epochs, test accuracy [\d.]+\)", repr(run))
    kept = tw.train(problem(), RECIPE, keep=tmp_path / "run")
    assert repr(kept).splitlines()[1] == str(tmp_path / "run") and len(repr(kept)) < 300


def test_a_sweep_shows_its_ranking_and_the_effect_of_each_setting(runs):
    text = parsed(runs._repr_html_())
    assert "lr=0.1" in text and "behind the best" in text and "<svg" in runs._repr_html_()


def test_a_plan_shows_its_groups():
    plan = tw.plan(problem(), RECIPE.vary(lr=[0.01, 0.1]))
    assert "2 lanes in 1 group" in parsed(plan._repr_html_()) and "MiB" in plan._repr_html_()


def test_a_finding_shows_the_loss_at_each_rate():
    finding = tw.find_lr(problem(), tw.Recipe(tw.SGD(lr=0.1), batch_size=16, epochs=20), progress=False)
    text = parsed(finding._repr_html_())
    assert "lr" in text and "<svg" in finding._repr_html_()
    assert "<svg" in finding.plot()._repr_html_()


def test_figures_of_one_page_have_keys_of_their_own(run):
    keys = [re.findall(r'<figure.*?data-plot="([^"]+)"', run.plot()._repr_html_()) for _ in range(2)]
    assert len({*keys[0], *keys[1]}) == len(keys[0]) + len(keys[1]) > 0


def test_a_figure_is_saved_as_a_page(run, tmp_path):
    figure = run.plot()
    assert repr(figure) == "Figure('Training curves')"
    assert figure.save(tmp_path / "curves.html").read_text().startswith("<!doctype html>")
    with pytest.raises(BadInput, match=r"saved as HTML.*curves.png\nhint: name it curves.html"):
        figure.save(tmp_path / "curves.png")


class Handle:
    """Stands for IPython's display: records what is shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, drawing):
        self.shown.append(drawing)
        return self

    update = __call__

    @property
    def text(self):
        assert isinstance(self.shown[-1], Figure)
        return parsed(self.shown[-1]._repr_html_())


def test_the_cell_of_a_run_shows_its_curves_and_leaves_one_line():
    handle, now = Handle(), [0.0]
    cell = Cell(handle, clock=lambda: now[0])
    cell.start(TrainingPlan("digits", 200))
    assert handle.text == "digits: compiling"
    for step in range(10, 200, 10):
        now[0] += 0.1
        cell.update(Status(step, loss=1 / step, validation_loss=0.5, evaluated=step % 50 == 0))
    assert 3 <= len(handle.shown) - 1 <= 4  # one in half a second, of 19
    assert "step 160 of 200" in handle.text and "training" in handle.text and "validation" in handle.text
    cell.note("saved <there>")
    cell.finish({"stopped": "epochs", "steps": 200, "test_metric": {"name": "accuracy", "value": 0.9}})
    assert "digits: done after 200 steps, test accuracy 90.00 %" in handle.text
    assert "&lt;there&gt;" in handle.shown[-1]._repr_html_() and "<svg" not in handle.shown[-1]._repr_html_()


def test_the_cell_of_many_lanes_shows_the_best():
    handle, now = Handle(), [0.0]
    cell = Cell(handle, clock=lambda: now[0])
    cell.start(TrainingPlan("sweep", 100, lanes=20))
    for step in (10, 20, 30):
        now[0] += 1
        lanes = [LaneStatus(i, f"lr {i}", step, 1.0 + i, state="running") for i in range(20)]
        cell.update(Status(step, lanes=tuple(lanes)))
    assert "20 lanes: 20 running; best loss 1.000 (lr 0)" in handle.text
    assert "lr 7" in handle.text and "lr 8" not in handle.text


def test_a_long_run_does_not_grow_its_cell():
    cell = Cell(Handle())
    cell.start(TrainingPlan("long"))
    for step in range(1, 5000):
        cell.update(Status(step, loss=1.0))
    assert all(len(points) <= 401 for points in cell._curves.values())
    assert cell._curves["training"][-1][0] > 4900


def test_the_tests_run_in_no_notebook():
    assert not in_notebook()


def test_a_notebook_with_fit_sweep_find_and_restore_runs_and_shows_them(tmp_path):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        "".join(output["data"].get("text/html", "") for output in each.outputs if "data" in output)
        for each in notebook.cells
        if each.cell_type == "code"
    ]
    for title in ("Loss", "behind the best", "lanes in"):
        assert any(title in html for html in shown), title
    assert "<svg" in shown[1]  # the loss at each rate
