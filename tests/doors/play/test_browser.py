"""The playground as people meet it: in a browser, with mouse and keyboard.

Needs Chromium (`apt-get install chromium`; `.ci/run` does it).
"""

import shutil

import pytest

from thalweg.doors.play.serve import PlayPage
from thalweg.insight.play.session import Playground
from thalweg.insight.play.settings import Settings
from thalweg.insight.play.sources import named_source

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
# Without the last ones Chromium asks its maker's servers for news at every start.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync", "--disable-quic"]
PATIENCE = 120_000  # milliseconds; how long a busy machine may take
SMALL = Settings(hidden=(4,), steps=4000)


@pytest.fixture(scope="module")
def page():
    with PlayPage(lambda: Playground(named_source("moons"), SMALL)) as served:
        yield served


@pytest.fixture
def show(page):
    """Open the playground in a window; afterwards check that nothing was asked for elsewhere."""
    asked, errors = [], []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)

        def window(width, scheme):
            opened = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            opened.set_default_timeout(PATIENCE)
            opened.on("request", lambda request: asked.append(request.url))
            opened.on("pageerror", lambda error: errors.append(str(error)))
            # A refusal, which the page answers in a sentence, is an error to the console alone.
            opened.on(
                "console",
                lambda line: (
                    errors.append(line.text) if line.type == "error" and "409" not in line.text else 0
                ),
            )
            opened.goto(page.address)
            opened.wait_for_function("() => playground.frames > 0")
            return opened

        yield window
        chromium.close()
    assert (errors, [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]) == ([], [])


def brightness(window):
    paper = window.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return max(map(int, paper[4:-1].split(",")))


def colours(window):
    """Return how many colours the picture has."""
    return window.evaluate(
        "() => { const map = document.getElementById('map'), pen = map.getContext('2d');"
        "const data = pen.getImageData(0, 0, map.width, map.height).data, seen = new Set();"
        "for (let i = 0; i < data.length; i += 40) seen.add(`${data[i]},${data[i+1]},${data[i+2]}`);"
        "return seen.size; }"
    )


def test_a_network_is_played_with(page, show):
    window = show(1280, "light")
    engine = page.player.playground
    # One update with the keyboard, and the tape of it.
    window.click("#tape summary")
    window.locator("#title").click()
    window.keyboard.press("s")
    window.wait_for_function("() => playground.header.step === 1")
    window.wait_for_function("() => document.getElementById('tape-text').textContent.includes('Backward')")
    # Play, change a slider while it runs, pin, pause.
    window.keyboard.press("Space")
    window.wait_for_function("() => playground.header.playing && playground.header.step > 20")
    assert window.text_content("#play") == "Pause"
    window.click("#pin")
    window.focus("#lr")
    window.keyboard.press("Home")
    window.wait_for_function("() => playground.controls.values.lr < 1e-4")
    assert engine.settings.lr == pytest.approx(1e-5) and engine.step > 20
    window.wait_for_selector("#lanes .lane:nth-child(2)")
    assert "lr 0.01" in window.text_content("#lanes .lane:nth-child(2)")
    window.click("#play")
    window.wait_for_function("() => !playground.header.playing")
    assert colours(window) > 20 and "optimizer.lr=1e-05" in window.text_content("#recipe")
    window.click("#tab-toml")
    assert 'name = "adam"' in window.text_content("#recipe")
    # A theme against that of the system, and back.
    assert brightness(window) > 200
    window.click("#theme")
    assert brightness(window) < 64
    # A value that is refused is answered in the page.
    window.fill("#seed", "-5")
    window.keyboard.press("Tab")
    window.wait_for_selector("#status.bad >> text=seed must be a whole number")
    window.click("#reset")
    window.wait_for_function("() => playground.header.step === 0")
    window.click("#lanes .drop")
    window.wait_for_function("() => playground.order.length === 1")
    assert window.evaluate("() => document.documentElement.scrollWidth") <= 1280


def test_points_are_drawn_on_a_phone(page, show):
    window = show(400, "dark")
    assert window.evaluate("() => document.documentElement.scrollWidth") <= 400 and brightness(window) < 64
    window.select_option("#source", "drawn")
    box = window.locator("#picture").bounding_box()
    for label, share in ((0, 0.25), (1, 0.75)):
        window.click(f"#palette button:nth-child({label + 1})")
        for at in range(5):
            window.mouse.click(box["x"] + box["width"] * (0.2 + 0.1 * at), box["y"] + box["height"] * share)
    window.wait_for_function("() => playground.header.drawn || playground.scene.points.held.length === 10")
    window.wait_for_function("() => !playground.scene.waiting")
    assert page.player.playground.source.name == "drawn"
    window.keyboard.press("Space")
    window.wait_for_function("() => playground.header.step > 10")
    window.keyboard.press("Space")
    assert colours(window) > 20
