"""A sweep's report: figures where there are numbers, every diverged lane named, seen in a real browser."""

import html
import json
import re
from dataclasses import replace

import pytest

from tests.insight import swept
from tests.view.report.test_browser import CHROMIUM, FRAME, PROBE, browse
from thalweg.insight.ranking import ranking_of
from thalweg.view.sweep import factor, grid
from thalweg.view.sweep.page import render

NASTY = "<script>alert(1)</script>"
SWEEPS = {
    "one": swept.sweep,
    "optimizers": lambda: swept.sweep(("sgd", "adamw", "muon")),
    "two": lambda: swept.sweep(decays=(1e-3, 1e-2, 0.1, 0.5)),
    "single": lambda: swept.sweep(seeds=1),
    "lost": lambda: lost(swept.sweep()),
}


def lost(sweep):
    """Let every lane diverge."""
    rows = [
        swept.row(row["lane"], None, **{"optimizer.lr": row["optimizer.lr"], "seed": row["seed"]})
        for row in sweep.table.to_dicts()
    ]
    return replace(sweep, table=swept.table(rows))


def page(name: str) -> str:
    sweep = SWEEPS[name]()
    return render(sweep, ranking_of(sweep))


@pytest.mark.parametrize("name", SWEEPS)
def test_a_page_refers_to_nothing_outside(name):
    text = page(name)
    assert text.startswith("<!doctype html>")
    assert not re.search(r'(?:src|href)="(?!#)', text)


def test_what_came_from_outside_is_text():
    sweep = swept.sweep()
    sweep = replace(sweep, result=sweep.result | {"model": NASTY, "data": NASTY})
    assert NASTY not in render(sweep, ranking_of(sweep))


def test_every_diverged_lane_is_named_with_its_step():
    text = page("one")
    for lane, seed in ((21, 0), (22, 1), (23, 2)):
        assert f"lane {lane} (seed {seed}) at step 37" in text


def test_what_varied_is_not_listed_as_fixed():
    section = page("one").split('id="recipe"')[1].split("</section>")[0]
    assert "optimizer.weight_decay" in section and "optimizer.lr" not in section and "seed" not in section


def test_a_curve_has_a_dot_for_each_lane_and_a_mark_for_each_lost_value():
    ranking = ranking_of(swept.sweep())
    text = factor.draw(ranking, "optimizer.lr")
    assert len(re.findall("h0", re.search(r'<path d="([^"]*)" class="dots c1"', text)[1])) == 21
    assert re.search(r'<path d="([^"]*)" class="lost"', text)[1].count("M") == 1
    assert factor.draw(ranking, "optimizer") is None


def test_a_factor_that_is_a_number_or_a_word_has_no_axis():
    sweep = swept.sweep(decays=(0.01, 0.1))
    rows = [
        row | {"batch_size": ("64", "full")[number % 2], "optimizer.momentum": (None, 0.9)[number // 2 % 2]}
        for number, row in enumerate(sweep.table.to_dicts())
    ]
    varied = [*sweep.result["varied"], "batch_size", "optimizer.momentum"]
    sweep = replace(sweep, table=swept.table(rows), result=sweep.result | {"varied": varied})
    ranking = ranking_of(sweep)
    assert {entry.setting["optimizer.momentum"] for entry in ranking.entries} == {"off", 0.9}
    assert factor.draw(ranking, "optimizer.momentum") is None and factor.draw(ranking, "batch_size") is None
    assert "optimizer.lr" in render(sweep, ranking)


def test_each_optimizer_has_a_line_of_its_own():
    text = factor.draw(ranking_of(swept.sweep(("sgd", "adamw", "muon"))), "optimizer.lr")
    assert [text.count(f'class="line c{colour}"') for colour in (1, 2, 3, 4)] == [1, 1, 1, 0]


def test_the_best_cell_of_a_map_is_marked_and_lost_ones_are_crossed():
    ranking = ranking_of(swept.sweep(decays=(1e-3, 1e-2, 0.1, 0.5)))
    text = grid.draw(ranking, "optimizer.lr", "optimizer.weight_decay")
    assert len(re.findall(r'class="[a-z ]*best"', text)) == 1
    assert re.findall(r"<span>([0-9.]+)</span>", text)[2:6] == ["0.5", "0.1", "0.01", "0.001"]  # up is more
    assert 'class="strong best"' in text  # the darkest shade, so written in the light colour
    assert f'title="{ranking.best.label}: ' in text.split('best"')[1]
    assert text.count("\u00d7") == 4
    assert "Up: optimizer.weight_decay. Across: optimizer.lr." in text
    assert grid.draw(ranking, "optimizer.lr", "optimizer") is None


def test_each_optimizer_has_a_map_of_its_own():
    sweep = swept.sweep(("sgd", "adamw"), decays=(0.01, 0.1))
    section = render(sweep, ranking_of(sweep)).split('id="factors"')[1].split("</section>")[0]
    assert re.findall("weight_decay and lr: ([a-z]+)", section) in (["sgd", "adamw"], ["adamw", "sgd"])
    assert section.count("\u00d7") == 2  # adamw's, and none of sgd's


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_the_pages_in_a_browser(tmp_path):
    frames = []
    for number, name in enumerate(SWEEPS):
        (tmp_path / f"{number}.html").write_text(page(name), encoding="utf-8")
        frames += [FRAME.format(name=name, width=width, number=number) for width in (1280, 400)]
    (tmp_path / "all.html").write_text(
        f"<!doctype html><body>{''.join(frames)}{PROBE}</body>", encoding="utf-8"
    )
    document, errors = browse(tmp_path / "all.html")
    assert errors == []
    told = json.loads(html.unescape(re.search(r'data-told="([^"]*)"', document).group(1)))
    for frame, found in told.items():
        width = int(frame.split()[1])
        assert found["fetched"] == [] and found["wide"] <= width, frame
        assert {"verdict", "ranking"} <= set(found["shown"]), frame
        assert all(across > 100 and down > 15 for across, down in found["shown"].values()), frame
    readings = told["optimizers 1280"]["readings"]
    assert readings and all("optimizer.lr" in reading and "muon" in reading for reading in readings[:1])
