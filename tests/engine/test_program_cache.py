"""Compiled programs on disk: one that was cut short or changed is removed, and compiled again."""

import subprocess
import sys

import pytest

from thalweg.core import disk
from thalweg.engine.compilation import ProgramCache

PROGRAM = bytes(range(256)) * 40
# Compile one function in a process with the cache; a warning of JAX is an error.
COMPILE = """
import warnings
warnings.simplefilter("error")
import jax, jax.numpy as jnp
from thalweg.engine.compilation import enable_cache
enable_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_raise_persistent_cache_errors", True)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
function = jax.jit(lambda x: jnp.sin(x) @ x.T)
for _ in range(2):
    assert function(jnp.ones((3, 3)))[0, 0] > 2.5
    jax.clear_caches()
print(sum(name.endswith("cache_hits") for name in hits))
"""


def compiled(cache):
    """Return the sum of hits of a process that compiles the function twice."""
    environment = {"THALWEG_CACHE": str(cache), "JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-7], lambda b: b[:40], lambda b: b"", lambda b: b[:9] + b"~" + b[10:]]
)
def test_a_damaged_program_is_removed_and_kept_anew(tmp_path, harm):
    cache = ProgramCache(tmp_path)
    assert cache.get("key") is None
    cache.put("key", PROGRAM)
    assert cache.get("key") == PROGRAM
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    assert cache.get("key") is None and not file.exists()
    cache.put("key", PROGRAM)
    assert file.read_bytes() == whole


def test_a_full_disk_costs_the_entry_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.DISK, "write", full)
    ProgramCache(tmp_path).put("key", PROGRAM)
    assert not list(tmp_path.iterdir())


def test_jax_keeps_its_programs_there_and_takes_no_damaged_one(tmp_path):
    assert compiled(tmp_path / "cache") > 0
    programs = tmp_path / "cache" / "compiled"
    before = {file: file.read_bytes() for file in programs.glob("*.verified")}
    assert before and programs.stat().st_mode & 0o077 == 0
    for file, content in before.items():
        file.write_bytes(content[: len(content) // 2])
    assert compiled(tmp_path / "cache") > 0  # without a warning
    assert all(len(file.read_bytes()) > len(content) // 2 for file, content in before.items())
