"""The playground: frames in a second for 2-64-64-2 on moons, and what a frame costs the processor.

`server` asks for frame after frame over HTTP as a page does and throws them away; `page` is Chromium without
a graphics card, which also draws them. Each is measured with one variant and with nine side by side. The
processor's time per frame is that of the server's process (training, evaluating the picture and both losses,
packing, HTTP), over all its threads; a busy machine lengthens a frame, not this time. Frames are limited to
60 a second.
"""

import http.client
import shutil
import statistics
import time
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

from thalweg.doors.play.frames import unpacked
from thalweg.doors.play.serve import PlayPage
from thalweg.engine.compilation import enable_cache
from thalweg.insight.play.session import Playground
from thalweg.insight.play.settings import MOST_UPDATES, Settings
from thalweg.insight.play.sources import named_source

SPEED = 4  # updates in a frame, as the page starts with
NETWORK = Settings(hidden=(64, 64), steps=MOST_UPDATES)
PARTS = 5  # of the time of a measurement, for its spread


def run(quick: bool) -> dict[str, Any]:
    """Measure frames with one variant and with nine."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("needs Chromium")
    enable_cache()
    seconds, rows = 0.6 if quick else 4.0, {}
    with PlayPage(lambda: Playground(named_source("moons"), NETWORK)) as page:
        for variants in (1, 9):
            while len(page.player.playground.variants) < variants:
                page.player.do({"pin": True})
            page.player.do({"reset": True})
            page.player.do({"step": True})  # compiles
            rows[f"server, {variants}"] = _asked(page, seconds)
            rows[f"page, {variants}"] = _drawn(page, chromium, seconds)
    return {"speed": SPEED, "rows": rows, "busy": psutil.cpu_percent(interval=0.5)}


def _asked(page: PlayPage, seconds: float) -> dict[str, Any]:
    """Ask for frames without drawing them."""
    page.player.do({"speed": SPEED})
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)
    headers = {"Authorization": f"Bearer {page.address.partition('token=')[2]}"}
    seen, size = {"frame": -1, "settings": -1, "scene": -1}, 0

    def frames(until: float) -> int:
        nonlocal size
        count = 0
        while time.perf_counter() < until:
            query = "&".join(f"{name}={value}" for name, value in seen.items())
            connection.request("GET", f"/frame?{query}", headers=headers)
            content = connection.getresponse().read()
            if not content:  # none was ready in time
                continue
            size = len(content)
            header = unpacked(content)[0]
            seen.update({name: header[name] for name in seen})
            count += 1
        return count

    page.player.do({"play": True})
    frames(time.perf_counter() + 0.5)  # warm
    parts = [_part(lambda: frames(time.perf_counter() + seconds)) for _ in range(PARTS)]
    page.player.do({"play": False})
    connection.close()
    return _summary(parts) | {"bytes": size}


def _drawn(page: PlayPage, chromium: str, seconds: float) -> dict[str, Any]:
    """Let a browser draw them."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        window = browser.new_page(viewport={"width": 1280, "height": 900})
        window.set_default_timeout(120_000)
        window.goto(page.address)
        window.wait_for_function("() => playground.frames > 0")
        page.player.do({"play": True})
        window.wait_for_timeout(500)

        def frames() -> int:
            before = window.evaluate("() => playground.frames")
            window.wait_for_timeout(1000 * seconds)
            return window.evaluate("() => playground.frames") - before

        parts = [_part(frames) for _ in range(PARTS)]
        page.player.do({"play": False})
        browser.close()
    return _summary(parts)


def _part(frames: Any) -> tuple[float, float]:
    """Return frames in a second, and milliseconds of this process per frame."""
    started, used = time.perf_counter(), time.process_time()
    count = frames()
    spent = time.perf_counter() - started
    return count / spent, 1000 * (time.process_time() - used) / max(count, 1)


def _summary(parts: list[tuple[float, float]]) -> dict[str, Any]:
    rates, costs = zip(*parts, strict=True)
    return {
        "rate": [statistics.median(rates), min(rates), max(rates)],
        "cpu": [statistics.median(costs), min(costs), max(costs)],
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| who asks, variants | frames a second | CPU per frame, ms |", "| --- | --- | --- |"]
    for name, row in result["rows"].items():
        shown = ["{:.1f} ({:.1f}-{:.1f})".format(*row[key]) for key in ("rate", "cpu")]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)
