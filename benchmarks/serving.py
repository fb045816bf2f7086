"""A server under load: requests a second and latency of `thalweg serve`, by wrk on the same machine.

The model is that of adult (`thalweg fit adult.csv`, shortened: what it predicts costs the same). Each request
is one row of JSON with all of its columns; connections stay open. wrk (apt-get install wrk) takes a part of
the processors that the server would have alone.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.machine import data_folder, markdown, shown, spread

CONNECTIONS, SECONDS, ROUNDS = (1, 8, 32, 128), 10, 3
_SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{}]]
"""
_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_years", "marital", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours", "country", "income"),
)
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def run(quick: bool) -> dict[str, Any]:
    """Train, serve, and ask."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    rounds, seconds = (1, 2) if quick else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = data_folder() / "tabular" / "adult-train.csv.gz"
        table = pl.read_csv(path, has_header=False, new_columns=list(_COLUMNS))
        table.head(4000).write_csv(folder / "adult.csv")
        target = _COLUMNS[-1]
        fit = [sys.executable, "-m", "thalweg", "fit", str(folder / "adult.csv"), "--target", target]
        fit += ["--epochs", "1", "--no-references", "--quiet", "--out", str(folder / "run")]
        subprocess.run(fit, check=True, capture_output=True)
        cells = table.drop(target).row(0, named=True)
        row = {name: _cell(str(cell).strip()) for name, cell in cells.items()}
        script = folder / "row.lua"
        script.write_text(_SCRIPT.format(json.dumps({"rows": [row]})))
        found: dict[int, list[dict[str, float]]] = {each: [] for each in CONNECTIONS}
        with _Server(folder / "run") as address:
            _asked(address, script, 8, 2)  # compiles for each number of rows that occurs
            for _ in range(rounds):
                for each in CONNECTIONS:
                    found[each].append(_asked(address, script, each, seconds))
    return {"found": {str(each): found[each] for each in CONNECTIONS}, "seconds": seconds}


def _cell(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


class _Server:
    """`thalweg serve` on a free port while the block lasts."""

    def __init__(self, run_folder: Path):
        command = [sys.executable, "-m", "thalweg", "serve", str(run_folder), "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match = re.search(r"http://[\d.]+:\d+", line)
            if match is not None:
                return match[0]
        raise RuntimeError("the server ended before it listened")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)


def _asked(address: str, script: Path, connections: int, seconds: int) -> dict[str, float]:
    """Return requests a second, latencies in milliseconds and the number of requests without an answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    said = subprocess.run([*command, f"{address}/predict"], check=True, capture_output=True, text=True).stdout
    failed = " ".join(re.findall(r"(?:Socket errors|Non-2xx[^:]*):(.*)", said))
    percent = dict(re.findall(r"(\d+)%\s+([\d.]+[a-z]+)", said))
    return {
        "requests": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),  # type: ignore[index]
        "median": _milliseconds(percent["50"]),
        "slow": _milliseconds(percent["99"]),
        "errors": float(sum(map(int, re.findall(r"\d+", failed)))),
    }


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            connections,
            shown(spread(each["requests"] for each in rounds), 0),
            shown(spread(each["median"] for each in rounds), 1),
            shown(spread(each["slow"] for each in rounds), 1),
            f"{sum(each['errors'] for each in rounds):.0f}",
        ]
        for connections, rounds in result["found"].items()
    ]
    said = f"rounds of {result['seconds']} s, {os.cpu_count()} cores with wrk on one of them"
    header = ["connections", "requests a second", "median, ms", "99 %, ms", "failed"]
    return f"{said}\n\n{markdown(header, rows)}"
