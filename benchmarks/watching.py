"""The live page: what its server costs, and how fluid a browser shows up to 1,000 lanes that train.

The sweep is written, not trained, so that nothing else needs the processor: every lane gets 20 steps twice a
second, as the log of a real sweep has them. Times of the browser are those of Chromium without a graphics
card. `redraw` is the time in which all charts are drawn with the newest rows; `frame` is the time between two
frames while the pointer moves over a chart and the rows arrive; the processor's share is that of the server,
of one core.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from playwright.sync_api import Page, sync_playwright

from thalweg.run.folder.lock import Lock
from thalweg.run.folder.log_stream import TABLES, Stream

LANES = (1, 64, 256, 1000)
STEPS, EVERY, SHARD = 20, 0.5, 16
FRAMES = """async ([seconds, x, y]) => {
  const times = [], until = performance.now() + 1000 * seconds;
  for (let last = await new Promise(requestAnimationFrame), now = last; last < until; last = now) {
    now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    const event = { clientX: x + 100 * Math.sin(now / 300), clientY: y, bubbles: true };
    document.elementFromPoint(event.clientX, y)?.dispatchEvent(new MouseEvent("mousemove", event));
  }
  return times;
}"""
REDRAW = """() => {
  const begun = performance.now();
  for (const chart of Object.values(watched.charts)) if (chart.plot) chart.plot.redraw(false, false);
  return new Promise((done) => queueMicrotask(() => queueMicrotask(() => done(performance.now() - begun))));
}"""


def run(quick: bool) -> dict[str, Any]:
    """Measure each number of lanes."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("needs Chromium")
    seconds = 3.0 if quick else 20.0
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        rows = {
            str(lanes): _measure(browser.new_page(viewport={"width": 1280, "height": 900}), lanes, seconds)
            for lanes in (LANES[:1] + LANES[-1:] if quick else LANES)
        }
        browser.close()
    return {"rows": rows}


def table(result: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = [
        "| lanes | redraw, ms | frame, ms: median | 95 % below | server while rows arrive | server at rest |",
        "|---|---|---|---|---|---|",
    ]
    for lanes, row in result["rows"].items():
        frames = sorted(row["frames"])
        cells = [lanes, f"{row['redraw']:.1f}", f"{statistics.median(frames):.1f}"]
        cells += [f"{frames[int(0.95 * (len(frames) - 1))]:.1f}"]
        cells += [f"{100 * row[name]:.1f} %" for name in ("growing", "rest")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _measure(page: Page, lanes: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "runs"
        environment = os.environ | {"THALWEG_CACHE": scratch, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "thalweg", "watch", str(folder)]
        with Growing(folder / "sweep", lanes) as sweep:
            for _ in range(100):
                sweep.grow()
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            try:
                assert server.stdout is not None
                page.goto(server.stdout.readline().strip(), timeout=120_000)
                page.wait_for_selector("[data-curve=loss] canvas", timeout=120_000)
                page.wait_for_timeout(3000)
                return _figures(page, sweep, psutil.Process(server.pid), seconds)
            finally:
                server.terminate()
                server.wait()
                page.close()


def _figures(page: Page, sweep: "Growing", server: psutil.Process, seconds: float) -> dict[str, Any]:
    box = page.locator("[data-curve=loss] .u-over").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before, start, frames = _used(server), time.perf_counter(), []
    while time.perf_counter() - start < seconds:
        sweep.grow()
        frames += page.evaluate(FRAMES, [EVERY, *middle])
    growing = (_used(server) - before) / (time.perf_counter() - start)
    redraws = [page.evaluate(REDRAW) for _ in range(9)]
    time.sleep(3)
    before, start = _used(server), time.perf_counter()
    time.sleep(seconds)
    rest = (_used(server) - before) / (time.perf_counter() - start)
    return {"frames": frames, "redraw": statistics.median(redraws), "growing": growing, "rest": rest}


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


class Growing:
    """A sweep folder whose lanes seem to train; as a context manager it holds the folder's lock."""

    def __init__(self, folder: Path, lanes: int):
        folder.mkdir(parents=True)
        self._lock, self._step, self._random = Lock(folder), 0, np.random.default_rng(0)
        rates = np.geomspace(1e-4, 1.0, lanes)
        self._pace = 1 / (1 + np.log10(100 * rates) ** 2)
        shards = [list(range(first, min(lanes, first + SHARD))) for first in range(0, lanes, SHARD)]
        recipes = [f"[optimizer]\nname = 'adamw'\nlr = {rate}\n" for rate in rates]
        plan = {"shards": [{"lanes": shard} for shard in shards]}
        metric = {"name": "accuracy", "higher_is_better": True}
        sweep = {"stopped": None, "lanes": lanes, "varied": ["optimizer.lr"], "metric": metric}
        files = {
            "environment": {},
            "problem": {"data": {"name": "made"}, "model": {"spec": "mlp:64"}, "metric": "accuracy"},
            "run": {"ended": False, "origin": {"recipes": recipes, "plan": plan}},
            "sweep": sweep | {"recipe": {"epochs": 100}},
        }
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        self._shards = [(shard, _streams(folder, number, lanes > 1)) for number, shard in enumerate(shards)]

    def __enter__(self) -> "Growing":
        self._lock.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._lock.__exit__(*error)

    def grow(self) -> None:
        """Append the next steps of every lane, and after every fifth time an evaluation."""
        step = np.arange(self._step, self._step + STEPS)
        for shard, streams in self._shards:
            for index, lane in enumerate(shard):
                loss = 2.3 * np.exp(-self._pace[lane] * step / 600) + 0.05 * self._random.random(STEPS)
                columns = [np.full(STEPS, index), step, loss, np.full(STEPS, 0.01), 1 + loss]
                streams["steps"].append(_batch("steps", columns))
                if self._step % (5 * STEPS) == 0:
                    values = [[index], [step[-1]], [step[-1] / 50], ["validation"], [loss[-1]]]
                    streams["evaluations"].append(
                        _batch("evaluations", [*values, [np.exp(-loss[-1])], [0.0]])
                    )
        self._step += STEPS


def _streams(folder: Path, number: int, several: bool) -> dict[str, Stream]:
    logs = folder / "shards" / f"{number:03d}" if several else folder / "shards"
    logs.mkdir(parents=True, exist_ok=True)
    streams = {
        name: Stream(logs / f"{name}.arrows", TABLES[name], print) for name in ("steps", "evaluations")
    }
    for stream in streams.values():
        stream.publish(durable=False)
    return streams


def _batch(name: str, columns: list[Any]) -> pa.RecordBatch:
    schema = TABLES[name]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)
