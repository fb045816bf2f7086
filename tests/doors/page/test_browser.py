"""The live page as people meet it: in a browser, while a run trains.

Needs Chromium (`apt-get install chromium`; `.ci/run` does it).
"""

import shutil
import threading
import time

import numpy as np
import pytest

import thalweg as tw
from tests.insight import growing
from thalweg.doors.page.serve import LivePage

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
# Without the last ones Chromium asks its maker's servers for news at every start.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync", "--disable-quic"]
PATIENCE = 300_000  # milliseconds; how long a busy machine may take
LOSS_STEP = "() => watched.charts.loss.lines.length ? watched.charts.loss.across()[1] : 0"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser, tmp_path, monkeypatch):
    """Open the live page of a folder in a window; afterwards check that nothing was asked for elsewhere."""
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    windows, asked, errors = [], [], []

    def window(page, **options):
        opened = browser.new_page(**options)
        windows.append(opened)
        opened.set_default_timeout(PATIENCE)
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("dialog", lambda dialog: dialog.accept())
        opened.goto(page.address)
        opened.wait_for_selector("#rows tr, #none:not([hidden])")
        return opened

    yield window
    for opened in windows:
        opened.close()
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]
    assert (outside, errors) == ([], []) and asked


def train(folder):
    """Train a tiny model for long in a thread; return the thread, and a list that will hold the run.

    It rests after each chunk: a browser that draws has to get a processor, too.
    """
    x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    problem = tw.Problem(tw.MLP([4, 8, 2]), tw.load((x, (x[:, 0] > 0).astype(int))))
    recipe, runs = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=1_000_000), []
    rests = {"keep": folder, "progress": lambda status: time.sleep(1.0)}
    thread = threading.Thread(target=lambda: runs.append(tw.train(problem, recipe, **rests)), daemon=True)
    thread.start()
    return thread, runs


def test_curves_move_while_a_run_trains_until_it_is_stopped(show, tmp_path):
    with LivePage([tmp_path / "runs"]) as page:
        window = show(page)
        assert "appears as soon as" in window.text_content("#none")
        thread, runs = train(tmp_path / "runs" / "trains")
        window.wait_for_function(f"() => ({LOSS_STEP})() > 0")
        before = window.evaluate(LOSS_STEP)
        window.wait_for_function(f"(before) => ({LOSS_STEP})() > before", arg=before)
        assert window.text_content("#rows .name") == "trains"
        window.wait_for_selector("[data-curve=validation_loss] canvas")
        window.click("#legend .stop")
        thread.join(PATIENCE / 1000)
        assert runs[0].result["stopped"] == "interrupted"
        window.wait_for_selector("#rows .state.interrupted")
    growing.end(growing.start(tmp_path / "runs" / "later"))
    with LivePage([tmp_path / "runs"]):  # as `thalweg watch` after a restart
        window.wait_for_selector("text=later")


def test_what_runs_are_called_is_shown_and_not_run(show, tmp_path):
    evil = "<img src=x onerror='window.owned=1'>"
    folder = growing.start(tmp_path / "runs" / evil.replace("/", ""), lanes=2)
    problem = {"data": {"name": evil}, "model": {"spec": evil}, "metric": evil}
    growing.write(folder, "problem.json", problem)
    growing.append(folder / "shards" / "000", growing.steps(0, 0, [2.0, 1.0]), growing.steps(1, 0, [2.0]))
    with LivePage([tmp_path / "runs"]) as page:
        window = show(page)
        window.wait_for_selector("#lanes tbody tr")
        assert window.evaluate("() => [window.owned, document.images.length]") == [None, 0]
        assert window.text_content("#rows .data") == evil


@pytest.mark.parametrize("width", [1280, 400])
def test_runs_are_laid_over_each_other_with_the_keyboard(show, tmp_path, width):
    for name, losses in (("first", [3.0, 2.0]), ("second", [2.0, 1.0])):
        folder = growing.start(tmp_path / "runs" / name, is_running=False)
        growing.append(folder, growing.steps(0, 0, losses), growing.evaluation(0, 2, losses[-1]))
        growing.write(folder, "recipe.toml", f"seed = {losses[0]}\n")
    with LivePage([tmp_path / "runs"]) as page:
        dark = width == 400
        window = show(
            page,
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
        )
        window.focus("#rows tr:nth-child(1) .link")
        window.keyboard.press("Enter")
        window.keyboard.press("Tab")
        window.keyboard.press("Space")  # the box of the second run
        window.wait_for_selector("#differences tbody tr >> text=seed")
        window.wait_for_function("() => watched.charts.loss.lines.length === 2")
        assert (
            window.evaluate("() => new Set(watched.charts.loss.lines.map((line) => line.colour)).size") == 2
        )
        assert window.evaluate("() => document.documentElement.scrollWidth") <= width
        paper = window.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, paper[4:-1].split(","))) < 64) == dark
