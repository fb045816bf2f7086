"""The report as a reader meets it: in a real browser, wide and narrow."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.insight import made
from thalweg.view.report import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

LONG = [f"a long class name {number}" for number in range(30)]
RECORDS = {
    "classification": made.classification,
    "regression": made.regression,
    "diverged": made.diverged,
    "deep": lambda: made.classification(layers=40, classes=30, examples=9000, names=LONG),
    "empty": made.empty,
}
WIDTHS = (1280, 400)
FRAME = '<iframe name="{name} {width}" src="{number}.html" style="width:{width}px;height:900px;border:0"></iframe>'  # noqa: E501
# Measures every frame: sections, widths, what was fetched, and what a moving pointer reads.
PROBE = """
<script>
const measured = (page) => {
  const shown = {};
  for (const part of page.querySelectorAll("header, section, figure, footer")) {
    const box = part.getBoundingClientRect();
    shown[part.id || part.className || part.tagName] = [box.width, box.height];
  }
  return shown;
};
const read = (figure) => {
  const area = [...figure.querySelectorAll(".area")].find((one) => one.getBoundingClientRect().width);
  const box = area.getBoundingClientRect();
  const place = { clientX: box.left + box.width / 2, clientY: box.top + 5 };
  area.dispatchEvent(new PointerEvent("pointermove", place));
  return figure.querySelector(".reading").textContent;
};
addEventListener("load", () => {
  const told = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    const readable = "[data-plot], [data-heat], [data-factor], figure:has([data-matrix])";
    const figures = page.querySelectorAll(readable);
    const fetched = frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name);
    const wide = page.documentElement.scrollWidth;
    told[frame.name] = { shown: measured(page), readings: [...figures].map(read), wide, fetched };
  }
  document.body.dataset.told = JSON.stringify(told);
});
</script>
"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--allow-file-access-from-files",
    "--enable-logging=stderr",
    "--window-size=1400,1000",
]


def browse(page: Path) -> tuple[str, list[str]]:
    """Load a page; return its document afterwards, and the errors of its console."""
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, "--dump-dom", page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return found.stdout, [line for line in found.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def browsed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    frames = []
    for number, (name, make) in enumerate(RECORDS.items()):
        (folder / f"{number}.html").write_text(render(make()), encoding="utf-8")
        frames += [FRAME.format(name=name, width=width, number=number) for width in WIDTHS]
    (folder / "all.html").write_text(
        f"<!doctype html><body>{''.join(frames)}{PROBE}</body>", encoding="utf-8"
    )
    document, errors = browse(folder / "all.html")
    told = json.loads(html.unescape(re.search(r'data-told="([^"]*)"', document).group(1)))
    return told, errors


def test_the_console_stays_silent(browsed):
    assert browsed[1] == []


def test_an_error_on_the_console_would_be_seen(tmp_path):
    page = tmp_path / "broken.html"
    page.write_text("<!doctype html><script>nothing.here()</script>", encoding="utf-8")
    assert browse(page)[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RECORDS)
def test_every_part_is_seen_and_nothing_is_fetched(browsed, name, width):
    told = browsed[0][f"{name} {width}"]
    assert told["fetched"] == []
    assert "verdict" in told["shown"]
    for part, (across, down) in told["shown"].items():
        assert across > 100, part
        assert down > 15, part
    assert told["wide"] <= width, "the page scrolls sideways"


def test_all_sections_of_a_full_record_are_seen(browsed):
    expected = {"verdict", "curves", "answers", "layers", "data", "recipe", "model", "cost", "environment"}
    assert expected <= set(browsed[0]["classification 400"]["shown"])


@pytest.mark.parametrize("name", ["classification", "regression", "diverged", "deep"])
def test_the_pointer_reads_every_figure(browsed, name):
    readings = browsed[0][f"{name} 1280"]["readings"]
    assert len(readings) >= 3
    assert all(re.search(r"step \d|predicted as", reading) for reading in readings)
