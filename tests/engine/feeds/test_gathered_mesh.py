"""Training rows on the host for many devices: each gets its own rows, each process reads those of its own."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Of float64, over 40 updates: sums in another order, if any, amplified by training.
ROUNDING = 1e-11
ROWS, BATCH, STEPS = 210, 16, 40


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.engine.feeds.gathered_cases", *arguments]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], **piped)


def facts(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def mesh() -> dict[str, Any]:
    return facts(started())


def test_a_mesh_computes_what_it_computes_from_resident_data(mesh):
    for name in ("rows", "microbatches", "lanes"):
        assert mesh[name] < ROUNDING, name
    assert mesh["seeds"] > 1e-3  # so that the comparison compares something


def test_each_device_has_its_own_rows_and_none_move_between_devices(mesh):
    for found in (mesh["program"], *mesh["several"]):
        assert found == {"moves": [], "sums": ["f32"], "held": [BATCH // 4]}


def test_with_microbatches_devices_exchange_the_rows_of_a_batch(mesh):
    assert mesh["divided"] == {"moves": ["all-gather"], "sums": ["f32"], "held": [BATCH // 4]}


def test_each_of_two_processes_reads_its_half_of_the_rows():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    peers = [started(port, "2", str(number)) for number in range(2)]
    for found in map(facts, peers):
        assert found["distance"] < ROUNDING
        # And twice a row to see its shape, and the training rows once for the figures of the finished run.
        assert found["read"] == STEPS * BATCH // 2 + 2 + ROWS
