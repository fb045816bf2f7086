"""Many fits of different shapes in one process: memory is bounded, and runs keep their programs."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from thalweg.engine import compilation
from thalweg.engine.compilation import compile_once, in_use

# Measured here with 4 programs kept: 1 MB a shape after the warm-up; without eviction 27 MB.
MEGABYTES_A_SHAPE = 6
FITS = """
import sys
import numpy as np, psutil
import thalweg as tw
from thalweg.engine import compilation
compilation.MOST_PROGRAMS = int(sys.argv[1])
x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
data, process, used = tw.load((x, np.arange(200) % 3)), psutil.Process(), []
for width in range(8, 18):
    tw.fit(data, f"mlp:{width}", tw.Recipe(epochs=1, batch_size=32))
    used.append(process.memory_info().rss / 2**20)
print((used[-1] - used[3]) / (len(used) - 4))
"""


def growth(most: int) -> float:
    """Return by how many megabytes each fit of a new shape grows a process, after four fits."""
    command = [sys.executable, "-c", FITS, str(most)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_fits_of_new_shapes_do_not_pile_up():
    assert growth(4) < MEGABYTES_A_SHAPE


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(compilation, "MOST_PROGRAMS", 2)


def compiled(traces: list[int], size: int) -> None:
    @jax.jit
    def double(program, x):
        traces.append(size)
        return 2 * x

    compile_once(double, size, np.ones(size))


def test_too_many_programs_are_given_up_after_the_last_run(few):
    cached = jax.jit(lambda x: x + 1)
    cached(1.0)
    with in_use():
        with in_use():
            for size in range(2, 7):
                compiled([], size)
        assert cached._cache_size() == 1 and len(compilation._COMPILED) > 2  # a run is still going on
    assert cached._cache_size() == 0 and not compilation._COMPILED and not compilation._LOCKS


def test_few_programs_are_kept(few):
    with in_use():
        compilation._COMPILED.clear()
        compiled([], 3)
    assert len(compilation._COMPILED) == 1
