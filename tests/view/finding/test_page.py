"""A finding's page and its plain picture: whole in themselves, seen in a real browser, wide and narrow."""

import html
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import polars as pl
import pytest

from tests.insight import found
from tests.view.report.test_browser import CHROMIUM, FRAME, PROBE, browse
from thalweg.view.figure import lr_figure
from thalweg.view.finding import batch_page, page
from thalweg.view.text import plain

BATCHES = {"batches": found.batches, "no batch": found.no_batch}
NASTY = "<script>alert(1)</script>"
ABOUT = {
    "data": "mnist",
    "task": "classification",
    "model": "mlp:784-512-10",
    "run": "runs/mnist-find-1",
    "environment": {"thalweg": "0.1.0", "cores": 2},
}
FINDINGS = {
    "found": found.finding,
    "flat": found.flat,
    "kept": found.kept,
    "lost": found.lost,
    "full batch": found.full_batch,
    "empty": found.empty,
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_page_refers_to_nothing_outside(name):
    text = page.render(FINDINGS[name](), ABOUT)
    assert text.startswith("<!doctype html>") and not re.search(r'(?:src|href)="(?!#)', text)
    assert FINDINGS[name]().reason.split(";")[0] in html.unescape(text)


def test_what_came_from_outside_is_text():
    finding = replace(found.finding(), reason=NASTY, setting=NASTY)
    assert NASTY not in page.render(finding, {"data": NASTY, "model": NASTY, "run": NASTY})
    assert NASTY not in lr_figure.svg_file(finding)


def test_a_page_can_be_made_with_nothing_known_around_it():
    assert "0.0037" in page.render(found.finding(), {})


def test_the_lanes_are_listed_with_what_diverged():
    table = page.lanes(found.finding())
    assert table.count("<tr>") == 1 + found.finding().curve["rate"].n_unique()
    assert table.count("diverged") == 2


@pytest.mark.parametrize("name", FINDINGS)
def test_a_picture_is_sound_xml_with_its_text_inside(name):
    finding = FINDINGS[name]()
    root = ElementTree.fromstring(lr_figure.svg_file(finding))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(root.itertext())
    assert finding.setting in words
    if finding.curve.height:
        assert ("take 0.0037" in words) == (finding.value == 3.7e-3)
        assert ("diverges" in words) == (finding.diverges is not None)


def test_a_picture_stays_in_its_frame():
    """Where a lane ends at 1e30, no number in the file is huge: viewers choke on those."""
    finding = found.kept()
    far = finding.curve["loss"].to_list()
    far[6] = 1e30
    text = lr_figure.svg_file(replace(finding, curve=finding.curve.with_columns(loss=pl.Series(far))))
    numbers = [float(n) for d in re.findall(r' d="([^"]*)"', text) for n in re.findall(r"-?\d+\.?\d*", d)]
    assert max(map(abs, numbers)) < 2_000


def test_a_page_of_batch_sizes():
    text = batch_page.render(found.batches(), ABOUT)
    assert "batch_size 256 with learning rate 0.00283" in text and not re.search(r'(?:src|href)="(?!#)', text)
    assert text.count('class="line rule') == 2 and "useful 310" in text and "fits 16,384" not in text
    nasty = replace(found.batches(), reason=NASTY)
    assert NASTY not in batch_page.render(nasty, {"model": NASTY, "run": NASTY})
    shown = plain(batch_page.show(found.batches(), ABOUT))
    assert max(map(len, shown.splitlines())) <= 80
    assert [line.split()[0] for line in shown.splitlines() if "0.00283" in line][1:] == ["256"]
    assert "fails to learn at every size" in plain(batch_page.show(found.no_batch(), {}))


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_the_pages_in_a_browser(tmp_path):
    frames = []
    pages = {name: page.render(make(), ABOUT) for name, make in FINDINGS.items()}
    pages |= {name: batch_page.render(make(), ABOUT) for name, make in BATCHES.items()}
    for number, (name, text) in enumerate(pages.items()):
        (tmp_path / f"{number}.html").write_text(text, encoding="utf-8")
        frames += [FRAME.format(name=name, width=width, number=number) for width in (1280, 400)]
    (tmp_path / "all.html").write_text(
        f"<!doctype html><body>{''.join(frames)}{PROBE}</body>", encoding="utf-8"
    )
    document, errors = browse(tmp_path / "all.html")
    assert errors == []
    told = json.loads(html.unescape(re.search(r'data-told="([^"]*)"', document).group(1)))
    for frame, seen in told.items():
        name, width = frame.rsplit(" ", 1)
        assert seen["fetched"] == [] and seen["wide"] <= int(width), frame
        drawn = {"sizes", "table"} if name in BATCHES else {"rates", "lanes"} if name != "empty" else set()
        assert {"verdict", "recipe"} | drawn <= set(seen["shown"]), frame
        assert all(across > 100 and down > 15 for across, down in seen["shown"].values()), frame
        readings, word = seen["readings"], "updates" if name in FINDINGS else "batch"
        assert len(readings) == {"empty": 0, **dict.fromkeys(BATCHES, 2)}.get(name, 1), frame
        assert all(word in reading for reading in readings), frame
