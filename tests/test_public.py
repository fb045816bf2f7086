"""The public names: complete, importable, and visible to type checkers."""

import ast
import subprocess
import sys
from pathlib import Path

import thalweg

ROOT = Path(thalweg.__file__)


def declared() -> set[str]:
    """Return the names that type checkers see: the imports under `if TYPE_CHECKING`."""
    (block,) = (node for node in ast.parse(ROOT.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    return {alias.asname or alias.name for node in imports for alias in node.names}


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
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False", "False"]
