"""Options of the test run.

Most of the suite's time goes into compiling small programs that run for a moment. So tests are compiled in
the way that is quickest to compile (three to five times as quick), and what must hold for programs as users
have them, such as bits that do not depend on the number of lanes, is marked `optimised` and runs in a
session of its own, `pytest --optimised`. `scripts/check` runs both.
"""

import os

import pytest

from tests import gate

# XLA's older code for fusions in place of a compilation by MLIR for each, LLVM without optimisation, and each
# program in one piece.
FAST_COMPILATION = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
    " --xla_cpu_parallel_codegen_split_count=1"
)

# Files that take longest, which begin first: a process that begins with one of them at the end would work
# alone for minutes (`--dist loadfile --no-loadscope-reorder`, scripts/check).
LONGEST = (
    "tests/faults/test_faults.py",
    "tests/lab/test_quick.py",
    "tests/problem/data/test_cases.py",
    "tests/view/test_notebook.py",
    "tests/doors/page/test_browser.py",
    "tests/doors/play/test_browser.py",
    "tests/insight/tape/test_equal.py",
    "tests/engine/test_mesh.py",
    "tests/contracts/test_lanes.py",
    "tests/test_examples.py",
    "tests/insight/finder/test_learning_rate.py",
    "tests/test_arguments.py",
)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run tests that take minutes each")
    parser.addoption("--repeats", action="store_true", help="also run the repeats that `gate` leaves out")
    parser.addoption(
        "--optimised", action="store_true", help="run only tests marked `optimised`, compiled as for users"
    )


def pytest_configure(config):
    """Set how XLA compiles in this process and its children, before anything imports JAX."""
    if not config.getoption("--optimised"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST_COMPILATION}".strip()


def pytest_collection_modifyitems(config, items):
    optimised = config.getoption("--optimised")
    others = [item for item in items if ("optimised" in item.keywords) != optimised]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if ("optimised" in item.keywords) == optimised]
    first = {config.rootpath / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(LONGEST)))
    if config.getoption("--long"):
        return
    if not config.getoption("--repeats"):
        gate.leave_out(items)
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; runs with --long"))
