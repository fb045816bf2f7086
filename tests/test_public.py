"""The public list: complete, importable, and known to type checkers."""

import ast
import subprocess
import sys
from pathlib import Path

import thalweg

ROOT = Path(thalweg.__file__)


def declared() -> set[str]:
    """Return what type checkers read: the imports under `if TYPE_CHECKING`."""
    (block,) = (node for node in ast.parse(ROOT.read_text()).body if isinstance(node, ast.If))
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(found) == len(block.body)
    return {alias.asname or alias.name for node in found for alias in node.names}


def test_every_public_name_can_be_imported():
    for name in dir(thalweg):
        assert getattr(thalweg, name) is not None


def test_type_checkers_see_the_same_list():
    assert declared() == set(dir(thalweg))


def test_everything_registered_is_public():
    registered = [*thalweg.OPTIMIZERS.values(), *thalweg.SCHEDULES.values(), *thalweg.ARCHITECTURES.values()]
    assert {kind.__name__ for kind in registered} <= set(dir(thalweg))


def test_public_names_have_docstrings():
    undocumented = [
        n for n in dir(thalweg) if callable(getattr(thalweg, n)) and not getattr(thalweg, n).__doc__
    ]
    assert undocumented == []


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(thalweg, "trian")


def test_importing_the_package_does_not_import_jax():
    code = "import sys, thalweg, thalweg.doors.cli.app; print('jax' in sys.modules, 'polars' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
