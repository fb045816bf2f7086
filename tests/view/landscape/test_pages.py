"""Pages and pictures of landscapes: self-contained, and safe whatever runs are called."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

import thalweg as tw
from thalweg.recipe.recipe import Recipe
from thalweg.view.landscape.file import svg
from thalweg.view.landscape.page import render, show
from thalweg.view.landscape.picture import BANDS
from thalweg.view.text import plain

EVIL = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def bowl():
    recipes = Recipe(tw.SGD(lr=0.1), batch_size=1, steps=5).vary(lr=[0.1, 0.3])
    shown = tw.landscape(tw.surface("bowl"), recipes=recipes, side=15)
    return replace(shown, name=EVIL, trails=(replace(shown.trails[0], name=EVIL), shown.trails[1]))


@pytest.fixture(scope="module")
def line():
    problem = tw.Problem(tw.LinearModel([4, 3]), "iris")
    recipes = Recipe(tw.SGD(lr=0.1), batch_size=16, steps=5).vary(seed=[0, 1])
    return tw.landscape(*tw.train(problem, recipes, progress=False))


def test_a_page_holds_its_surface_and_no_outside_reference(bowl):
    page = render(bowl)
    assert EVIL not in page and "http" not in re.sub(r'xmlns="[^"]*"', "", page)
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    data = json.loads(data)
    assert len(data["height"]) == len(data["height"][0]) == 15
    assert [path["step"] for path in data["paths"]] == [list(range(6))] * 2
    assert min(map(min, data["height"])) == 0.0 and max(map(max, data["height"])) == 1.0
    used = {int(band) for band in re.findall(r'class="band b(\d+)"', page)}
    assert used == set(range(BANDS))


def test_pictures_are_svg_with_their_names(bowl, line):
    for shown, words in ((bowl, ["w0", "w1", "loss"]), (line, ["train, straight", "seed 0", "seed 1"])):
        text = svg(shown)
        root = ElementTree.fromstring(text)
        assert root.tag.endswith("svg") and "prefers-color-scheme: dark" in text
        written = " ".join(root.itertext())
        assert all(word in written for word in words)
    assert EVIL not in svg(bowl)


def test_a_line_and_curvature_have_pages(line):
    page = tw.render(line)
    assert "barrier" in page and "seed 1" in page
    run = tw.train(tw.surface("bowl"), Recipe(tw.SGD(lr=0.1), batch_size=1, steps=5), progress=False)
    found = tw.curvature(run, history=True)
    assert "Spectral density" in tw.render(found) and "Sharpness along" in tw.render(found)


def test_the_text_fits_eighty_columns(bowl, line):
    for shown in (bowl, line):
        lines = plain(show(shown)).splitlines()
        assert lines and max(map(len, lines)) <= 80
