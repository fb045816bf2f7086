"""`thalweg landscape`: pages and pictures where they are announced; slips are refused before any work."""

import json
import sys

import pytest

import thalweg as tw
from thalweg.doors.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("landscapes")
    tw.fit("iris", "linear", epochs=1, keep=at / "run", progress=False)
    return at


@pytest.fixture
def here(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
        code = app._outcome()
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_recipes_on_a_surface(here, folder):
    options = (
        "--vary",
        "optimizer=sgd,momentum",
        "--vary",
        "optimizer.lr=0.02,0.1",
        "--steps",
        "3",
        "--side",
        "9",
    )
    code, out, err = here("landscape", "bowl", *options)
    assert code == 0, err
    assert out.count("3 updates") == 4 and "momentum 0.9" in out
    assert (folder / "landscape.html").exists() and (folder / "landscape.svg").exists()
    assert here("landscape", "saddle", "--steps", "1", "--side", "9", "-q")[0] == 0
    assert (folder / "landscape-2.html").exists()  # nothing is overwritten


def test_a_run_folder_gets_its_page_again_and_again(here, folder):
    for _ in range(2):
        code, out, err = here("landscape", "run", "--side", "3", "--curvature", "--json")
        assert code == 0, err
    told = json.loads(out)
    assert told["page"] == "run/landscape.html" and told["curvature"][0]["parameters"] == 15
    assert (folder / "run" / "landscape.svg").exists()
    assert here("check", "run")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bowll"], "did you mean the surface bowl?"),
        (["nowhere"], "a surface is one of"),
        (["bowl", "run"], "drawn alone"),
        (["bowl", "--curvature"], "is for runs, not for a surface"),
        (["run", "--vary", "optimizer=sgd"], "is for a surface, not for runs"),
        (["bowl", "--start", "3"], "two finite numbers"),
        (["bowl", "--start", "a,b"], "two numbers"),
        (["bowl", "--vary", "optimizer"], "PATH=RANGE"),
        (["run", "--plane", "runs"], "takes three runs"),
        (["run", "--side", "1"], "from 3 to"),
        (["run", "--out", "picture.png"], "must be an HTML file"),
        (["run", "--out", "nowhere/page.html"], "existing folder"),
    ],
)
def test_slips_are_refused_with_a_hint(here, arguments, says):
    code, out, err = here("landscape", *arguments)
    assert code == 2 and says in err and "hint:" in err and not out, err
