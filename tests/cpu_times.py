"""Processor time of each test, with its child processes: `pytest -p tests.cpu_times --cpu-times FOLDER`.

Seconds on the clock tell little where tests run beside each other. The files and tests that take most are
printed at the end; FOLDER has all of them, as one line of JSON each.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

SHOWN = 40


def pytest_addoption(parser):
    parser.addoption("--cpu-times", type=Path, metavar="FOLDER", help="where processor times are written")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    before = _seconds()
    yield
    folder = item.config.getoption("cpu_times")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps([item.nodeid, round(_seconds() - before, 3)]) + "\n")


def pytest_terminal_summary(terminalreporter, config):
    folder = config.getoption("cpu_times")
    if folder is None or hasattr(config, "workerinput"):
        return
    tests = Counter[str]()
    for path in folder.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, seconds = json.loads(line)
            tests[name] += seconds
    files = Counter[str]()
    for name, seconds in tests.items():
        files[name.partition("::")[0]] += seconds
    terminalreporter.section(f"processor time: {sum(tests.values()):.0f} s")
    for counted in (files, tests):
        for name, seconds in counted.most_common(SHOWN):
            terminalreporter.write_line(f"{seconds:8.1f} s  {name}")


def _seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
