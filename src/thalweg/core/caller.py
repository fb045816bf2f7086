"""How options are written in hints and notes: as the caller would write them.

The same message reaches people at a shell and people in Python. `option("header", False)` is `--no-header`
for the first and `header=False` for the second. Which of them calls is one fact about the process, set by
the command line for as long as it runs.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_state = {"command line": False}

# Options whose name on the command line is not that of the keyword argument with dashes for underscores.
_FLAGS = {"settings": "--set", "keep": "--out"}


@contextmanager
def command_line() -> Iterator[None]:
    """Write options as flags of the command line inside this block, in every thread."""
    before, _state["command line"] = _state["command line"], True
    try:
        yield
    finally:
        _state["command line"] = before


def at_command_line() -> bool:
    """Return whether the command line calls; otherwise Python code does."""
    return _state["command line"]


def option(name: str, value: Any = True) -> str:
    """Return an option as the caller would write it.

    Args:
        name: Name of the keyword argument in Python, such as `split_seed`.
        value: True or False for a switch; a tuple or list for an option that is given once for each item; a
            dictionary for `KEY=VALUE` items.

    Example:
        >>> option("types", {"zip": "category"}), option("header", False), option("missing", "?")
        ("types={'zip': 'category'}", 'header=False', "missing='?'")
        >>> with command_line():
        ...     option("types", {"zip": "category"}), option("header", False), option("missing", "?")
        ('--types zip=category', '--no-header', "--missing '?'")
    """
    if not at_command_line():
        return f"{name}={value!r}"
    flag = _FLAGS.get(name, "--" + name.strip("_").replace("_", "-"))
    if isinstance(value, bool):
        return flag if value else f"--no-{flag.removeprefix('--')}"
    items = [f"{key}={item}" for key, item in value.items()] if isinstance(value, dict) else value
    several = items if isinstance(items, (tuple, list)) else (items,)
    return " ".join(f"{flag} {shlex.quote(str(item))}" for item in several)


def option_name(name: str) -> str:
    """Return the name of an option as the caller would write it: `--split-seed` or `split_seed=`."""
    if at_command_line():
        return _FLAGS.get(name, "--" + name.strip("_").replace("_", "-"))
    return f"{name}="


def argument(name: str) -> str:
    """Return an option as the `who` of an error: `--lr` or `lr`."""
    return option_name(name).removesuffix("=")


def setting(path: str, value: Any) -> str:
    """Return a setting of the recipe as the caller would write it.

    Example:
        >>> setting("batch_size", "full")
        "batch_size='full'"
        >>> with command_line():
        ...     setting("batch_size", "full")
        '--set batch_size=full'
    """
    return f"--set {path}={shlex.quote(str(value))}" if at_command_line() else f"{path}={value!r}"


def either(at_shell: str, in_python: str) -> str:
    """Return the words for the caller, where the two differ by more than the form of an option."""
    return at_shell if at_command_line() else in_python
