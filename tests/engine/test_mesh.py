"""Many devices compute what one does: `mesh_cases.py`, in a process whose CPU is divided into eight."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Of float64, over 80 updates: sums in another order, amplified by training.
ROUNDING = 1e-11


def facts(*names: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.engine.mesh_cases", *names]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    return facts("rows", "step", "program", "resumed", "refusals")


@pytest.mark.optimised
def test_a_lane_has_the_same_bits_on_whichever_device_it_trains():
    found = facts("lanes")["lanes"]
    assert found["bits"] == [True] * 4
    assert found["differ"]  # so that the comparison compares something
    assert found["plan"] == 2
    assert sorted(found["where"]) == [0, 0, 1, 1]


def test_rows_over_devices_give_what_one_device_gives_but_for_the_order_of_sums(cases):
    found = cases["rows"]
    assert 0.1 < found["clipped"] < 1.0
    for name in ("all", "both", "microbatches", "images"):
        assert 0 < found[name] < ROUNDING, name  # not 0: the sums are in another order


def test_one_step_keeps_to_the_bound_of_the_order_of_sums(cases):
    found = cases["step"]
    assert 0 < found["gap"] <= found["bound"] < 1e-3 * found["moved"]


def test_a_step_shares_the_rows_and_has_one_sum_over_devices_for_all_gradients(cases):
    found = cases["program"]
    assert 4 in found["rows"]  # of 16; the others are products of other rows
    assert 16 not in found["rows"]
    assert found["sums"] == 1
    assert all(shape in found["shapes"] for shape in ("f32[8,6]", "f32[8]", "f32[3,8]", "f32[3]"))
    assert found["moves"] == 0


def test_a_run_that_is_cut_off_resumes_on_the_same_devices_bit_for_bit_and_on_others_within_rounding(cases):
    found = cases["resumed"]
    four = {"lanes": 1, "data": 4}
    assert found["same"] == {
        "before": four,
        "after": four,
        "mesh": "lanes:1,data:4",
        "notes": [],
        "bits": True,
        "distance": 0.0,
    }
    for name, devices in (("two", 2), ("one", 1)):
        one = found[name]
        assert one["before"] == four
        assert one["after"] == {"lanes": 1, "data": devices}
        assert f"and now are on {devices}" in one["notes"][0]
        assert 0 < one["distance"] < ROUNDING


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("uneven", "got 15 (4 devices)\nhint: try batch_size=12"),
        ("microbatches", "4 devices, 3 microbatches)\nhint: try batch_size=12"),
        ("too many", "at most the devices that JAX finds: 8"),
        ("words", "a number of devices, all, or what each axis has; got rows:2"),
        ("none", "at least one device"),
        ("no lanes", "a single run has no lanes to share"),
        ("executor", "leave one of the two out"),
        ("gone", "at most the devices that JAX finds: 8"),
    ],
)
def test_devices_that_cannot_be_are_refused_before_anything_starts(cases, case, words):
    assert words in cases["refusals"][case]
    assert cases["refusals"]["folder"] == "False"
