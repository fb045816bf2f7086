"""What `fit` passes on: the cost of a search, the rate that it found, and what may be overwritten."""

from types import SimpleNamespace

import pytest

from tests.made import blobs
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.insight import fit as fits
from thalweg.insight.fit import RecipeRequest, fit, restart_options
from thalweg.recipe.recipe import Recipe, own_rate, with_rate
from thalweg.run.progress import Silent
from thalweg.run.spec import SaveOptions


class Stopped(Exception):
    """Raised in place of a search."""


def test_a_search_costs_at_most_a_tenth_of_the_run(monkeypatch):
    def find_lr(problem, recipe, *, share, progress):
        raise Stopped(share, recipe)

    monkeypatch.setattr(fits, "find_lr", find_lr)
    with pytest.raises(Stopped) as stopped:
        fit(blobs(), "mlp:4", lr="auto", epochs=3, seed=5)
    share, recipe = stopped.value.args
    assert share == 0.1 and (recipe.epochs, recipe.seed) == (3, 5)


@pytest.mark.parametrize("save", [None, SaveOptions()])
def test_the_rate_that_was_found_is_trained_with(monkeypatch, save):
    recipe = Recipe(epochs=3, seed=5)
    found = SimpleNamespace(value=0.0123, recipe=with_rate(recipe, 0.0123), to_dict=dict)
    monkeypatch.setattr(fits, "find_lr", lambda *arguments, **settings: found)
    monkeypatch.setattr(fits, "in_a_line", str)
    monkeypatch.setattr(fits, "as_dict", lambda finding, recipe: {"lr": finding.value})
    problem = SimpleNamespace(data=None)
    options, searched = fits._with_searched_rate(problem, recipe, save, Silent())  # type: ignore[arg-type]
    assert own_rate(searched) == 0.0123 and (searched.epochs, searched.seed) == (3, 5)
    assert options is None if save is None else options.finding == {"lr": 0.0123}


def test_a_restart_overwrites_no_more_than_it_was_asked_to(tmp_path):
    options = restart_options(SaveOptions(tmp_path))
    assert options.restart and not options.force
    assert restart_options(SaveOptions(tmp_path, force=True)).force
    with pytest.raises(RecipeError, match="needs the folder of the run"):
        restart_options(SaveOptions())


def test_each_change_of_a_request_reaches_the_recipe():
    base = Recipe(epochs=9, seed=1)
    changed = RecipeRequest(base, settings=["clip_norm=0.5"], lr=0.25, steps=70, seed=4).for_data(blobs())
    assert (changed.epochs, changed.steps, changed.seed, changed.clip_norm) == (None, 70, 4, 0.5)
    assert own_rate(changed) == 0.25
    assert RecipeRequest(base).for_data(blobs()) == base


def test_a_taken_folder_is_refused_before_a_rate_is_searched(monkeypatch, tmp_path):
    def find_lr(problem, recipe, *, share, progress):
        raise Stopped

    monkeypatch.setattr(fits, "find_lr", find_lr)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "run.json").write_text("{}")
    with pytest.raises(RunFolderError):
        fit(blobs(), "mlp:4", lr="auto", epochs=3, keep=SaveOptions(tmp_path / "taken"))
    with pytest.raises(Stopped):
        fit(blobs(), "mlp:4", lr="auto", epochs=3, keep=SaveOptions(tmp_path / "new"))
