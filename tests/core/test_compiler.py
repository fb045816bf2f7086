"""The compiler's options, its check, and what is remembered of it."""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
import pytest

from thalweg.core import compiler, device
from thalweg.core.compiler import CPU_OPTIONS, FILE, OLDEST, filter_jit, jit, options, wrong_share
from thalweg.core.errors import CompilerError

ROOT = Path(__file__).parents[2]
MATRIX = np.array([[1, 2, 3], [0.5, -1, 2], [3, 1, -2]], np.float32)
ROWS = np.random.default_rng(0).normal(size=(40_000, 3)).astype(np.float32)
EXPECTED = ((ROWS.astype(np.float64) @ MATRIX.T) ** 2).sum(axis=1)
miscompiles = pytest.mark.skipif(
    jaxlib.version.__version__ != "0.10.2", reason="0.10.2 is the version at fault"
)


@pytest.fixture(autouse=True)
def unchecked(tmp_path, monkeypatch):
    """Start each test as a new process with an empty cache folder does."""
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    compiler._checked_options.cache_clear()
    yield
    compiler._checked_options.cache_clear()


def lengths(matrix, rows):
    return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)


def share_of_wrong(computed):
    return float((np.abs(np.asarray(computed, np.float64) - EXPECTED) > 1e-3 * (1 + EXPECTED)).mean())


def test_this_jaxlib_knows_the_options_of_lesser_efforts(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    compiler._less_effort.cache_clear()
    assert compiler._less_effort(compiler.LEAST) == compiler.FAST_COMPILATION
    assert compiler._less_effort(compiler.BRIEF) == {}  # a level that the user set stands
    compiler._less_effort.cache_clear()
    monkeypatch.delenv("XLA_FLAGS")
    assert compiler._less_effort(compiler.BRIEF) == compiler.BRIEF_COMPILATION
    compiler._less_effort.cache_clear()


@miscompiles
def test_the_check_sees_the_fault_that_the_options_avoid():
    assert wrong_share({}) > 0.1
    assert wrong_share(CPU_OPTIONS) == 0
    assert share_of_wrong(jax.jit(lengths)(MATRIX, ROWS)) > 0.1


@pytest.mark.parametrize("compiled", [jit(lengths), filter_jit(lengths)], ids=["jit", "filter_jit"])
def test_compiled_functions_are_right(compiled):
    assert share_of_wrong(compiled(MATRIX, ROWS)) == 0


def test_a_lowered_program_is_right():
    assert share_of_wrong(jit(lengths).lower(MATRIX, ROWS).compile()(MATRIX, ROWS)) == 0


def test_settings_of_jit_are_kept():
    compiled = jit(lambda x, times: x * times, static_argnames="times")
    assert compiled(jnp.ones(3), times=2).tolist() == [2, 2, 2]
    assert filter_jit(lambda x, name: x if name == "same" else -x)(jnp.ones(1), "other") == -1


def test_programs_are_compiled_fast_inside_of_the_block_only(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    compiler._less_effort.cache_clear()
    seen = []

    def recorded(function, compiler_options):
        seen.append(compiler_options.get("xla_backend_optimization_level"))
        return function

    double = compiler.Compiled(lambda x: 2 * x, recorded)
    with compiler.fast_compilation(), compiler.brief_compilation():
        assert double(1) == 2
    with compiler.brief_compilation(False):
        assert double(1) == 2 and double(2) == 4
    with compiler.brief_compilation():
        assert double(1) == 2
    assert double(1) == 2
    assert seen == ["0", None, "1"]
    compiler._less_effort.cache_clear()


def test_a_compiler_that_computes_wrong_values_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(compiler, "wrong_share", lambda compiler_options: 0.18)
    calls = []
    with pytest.raises(CompilerError, match=r"18 % wrong values .*40,000 rows") as refused:
        jit(calls.append)(1.0)
    assert calls == [] and "hint: install a JAX that is tested: pip install" in str(refused.value)
    with pytest.raises(CompilerError):  # it is not remembered as checked
        options()


def test_an_old_jax_is_refused(monkeypatch):
    monkeypatch.setattr(jaxlib.version, "__version__", "0.9.12")
    with pytest.raises(CompilerError, match=rf"at least {OLDEST}; got 0\.9\.12\n.*pip install -U 'jax>="):
        options()


@pytest.mark.parametrize("version", [OLDEST, "0.10.2.dev20260612", "0.12.0.1", "1.0.0"])
def test_newer_versions_are_taken_as_they_come(monkeypatch, version):
    monkeypatch.setattr(jaxlib.version, "__version__", version)
    assert options() == CPU_OPTIONS


def test_the_oldest_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"jax>={OLDEST}" in project["dependencies"]
    assert f"jax[cuda13]>={OLDEST}" in project["optional-dependencies"]["cuda"]


def test_the_check_is_remembered_by_version_and_machine(monkeypatch, tmp_path):
    assert options() == CPU_OPTIONS
    assert list(json.loads((tmp_path / FILE).read_text()).values()) == [CPU_OPTIONS]
    monkeypatch.setattr(compiler, "wrong_share", lambda compiler_options: pytest.fail("checked again"))
    seconds = []
    for _ in range(20):
        compiler._checked_options.cache_clear()
        started = time.perf_counter()
        assert options() == CPU_OPTIONS
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1e-3


@pytest.mark.parametrize("change", ["version", "machine", "flags", "damaged", "off"])
def test_what_was_remembered_elsewhere_does_not_count(monkeypatch, tmp_path, change):
    options()
    if change == "version":
        monkeypatch.setattr(jaxlib.version, "__version__", "0.13.0")
    elif change == "machine":
        monkeypatch.setattr(compiler, "instruction_sets", lambda: "fpu sse2")
    elif change == "flags":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    elif change == "damaged":
        (tmp_path / FILE).write_text('{"0.10.2')
    else:
        monkeypatch.setenv("THALWEG_CACHE", "off")
    checks = []
    monkeypatch.setattr(compiler, "wrong_share", lambda given: checks.append(given) or 0.0)
    compiler._checked_options.cache_clear()
    options()
    assert checks == [CPU_OPTIONS]


def test_other_backends_get_no_options_and_no_check(monkeypatch):
    monkeypatch.setattr(compiler, "on_cpu", lambda: False)
    monkeypatch.setattr(compiler, "wrong_share", lambda compiler_options: pytest.fail("checked"))
    given = []
    compiled = compiler.Compiled(lambda x: x, lambda f, compiler_options: given.append(compiler_options) or f)
    assert compiled(1) == 1 and given == [{}]
    monkeypatch.undo()
    assert compiled(1) == 1 and given == [{}, CPU_OPTIONS]


def test_a_jaxlib_without_the_option_gets_none(monkeypatch):
    monkeypatch.setattr(compiler, "FUSIONS", "xla_cpu_no_such_option")
    monkeypatch.setattr(compiler, "CPU_OPTIONS", {"xla_cpu_no_such_option": ""})
    monkeypatch.setattr(compiler, "wrong_share", lambda compiler_options: 0.0)
    assert options() == {}


def test_the_default_device_decides():
    with jax.default_device(jax.devices("cpu")[0]):
        assert device.backend() == "cpu"
    with jax.default_device("gpu"):
        assert not device.on_cpu() and options() == {}


def test_imports_check_nothing():
    code = "\n".join(
        [
            "import thalweg.doors.cli.fit, thalweg.engine.plan, thalweg.run.train, thalweg.run.restore",
            "from thalweg.core import compiler",
            "assert compiler._checked_options.cache_info().misses == 0",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@miscompiles
def test_programs_that_others_left_in_the_persistent_cache_are_not_taken(tmp_path):
    """A program compiled without the option has another key there."""
    code = f"""
import jax, numpy as np
from tests.core.test_compiler import MATRIX, ROWS, lengths, share_of_wrong
from thalweg.core.compiler import jit
jax.config.update("jax_compilation_cache_dir", {str(tmp_path)!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
print(share_of_wrong(jax.jit(lengths)(MATRIX, ROWS)), share_of_wrong(jit(lengths)(MATRIX, ROWS)))
"""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
        )
        without, ours = map(float, done.stdout.split())
        assert without > 0.1 and ours == 0
    assert len(list(tmp_path.glob("jit_lengths*-cache"))) == 2
