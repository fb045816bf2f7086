"""Errors that end a command; mistakes in the command line itself (an unknown flag) in the form of our own.

Typer reports them by exceptions of its own, whose classes differ between its versions; what they carry does
not: a context, a parameter, the name of an option.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from thalweg.core.errors import BadInput, ShortageError, ThalwegError, did_you_mean
from thalweg.core.escape import printable_json
from thalweg.doors.cli.shortage import as_shortage

EXIT_BAD_INPUT, EXIT_SHORTAGE = 2, 4

# What a parameter takes, by a word in Typer's message, and an example.
_TYPES = {"integer": ("a whole number", "10"), "float": ("a number", "0.1"), "number": ("a number", "0.1")}


def report_error(error: Any, arguments: Sequence[str]) -> int:
    """Print an error that the user can act on, and return the exit code; raise any other again.

    Args:
        error: The exception that ended a command.
        arguments: The words of the command line.
    """
    if is_usage_error(error):
        error = as_bad_input(error, arguments)
    elif hasattr(error, "exit_code") and hasattr(error, "show"):
        error.show()  # the help text, for a call without arguments
        return EXIT_BAD_INPUT
    error = as_shortage(error) or error
    if isinstance(error, OSError) and error.errno is not None:
        error = as_refusal(error)
    if isinstance(error, ThalwegError):
        print(f"error: {error}", file=sys.stderr)
        if error.cause is not None and "--json" in arguments:
            print(printable_json(json.dumps({"error": str(error), "cause": error.cause}, ensure_ascii=False)))
        return EXIT_SHORTAGE if isinstance(error, ShortageError) else EXIT_BAD_INPUT
    raise error


def is_usage_error(error: Exception) -> bool:
    """Return whether Typer raised it for a mistake; the help text for a call without arguments is none."""
    return (
        hasattr(error, "exit_code")
        and hasattr(error, "format_message")
        and "Help" not in type(error).__name__
    )


def as_bad_input(error: Any, arguments: Sequence[str]) -> BadInput:
    """Return a usage error of Typer as one of ours: what was wrong, and what to do.

    Args:
        error: Typer's exception.
        arguments: The words of the command line, for the value that was refused.
    """
    context = getattr(error, "ctx", None)
    command = context.command.name if context is not None and context.parent is not None else "thalweg"
    see = f"see `{'thalweg ' * (command != 'thalweg')}{command} --help`"
    option, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    if option is not None and context is not None and hasattr(error, "possibilities"):
        known = [flag for each in context.command.params for flag in each.opts if flag.startswith("--")]
        return BadInput(command, "has no such option", got=option, hint=did_you_mean(option, known))
    if option is not None:
        return BadInput(option, "needs a value", hint=see)
    if parameter is None:
        return _unknown_command(context, see, error.format_message())
    name = next((flag for flag in parameter.opts if flag.startswith("--")), parameter.opts[0])
    if "Missing" in type(error).__name__:
        return BadInput(command, f"needs {name.upper() if name[:2] != '--' else name}", hint=see)
    return _bad_value(name, error.format_message(), _value(parameter.opts, arguments), see)


def as_refusal(error: OSError) -> BadInput:
    """Return an error of the operating system that no command expected as one of ours: what, and where.

    Such as a folder of another user, a network disk that has gone, or one that fails.
    """
    return BadInput(
        "files",
        "the system must let them be read and written",
        got=error.strerror or str(error),
        where=error.filename,
        hint="check the owner and the permissions, and that the disk is there and not full",
    )


def _unknown_command(context: Any, see: str, message: str) -> BadInput:
    names = list(getattr(getattr(context, "command", None), "commands", None) or ())
    word = message.split("'")[1] if names and message.count("'") >= 2 else None
    if word is None:
        return BadInput("thalweg", message.rstrip("."), hint=see)
    return BadInput("thalweg", "has no such command", got=word, hint=did_you_mean(word, names))


def _bad_value(name: str, message: str, value: str | None, see: str) -> BadInput:
    """Return the error for a value that Typer could not convert; only its message says the type."""
    _, among, choices = message.partition("not one of ")
    if among:
        words = re.findall(r"'([^']+)'", choices)
        return BadInput(
            name, f"must be one of {', '.join(words)}", got=value, hint=did_you_mean(str(value), words)
        )
    for word, (kind, example) in _TYPES.items():
        if word in message:
            return BadInput(name, f"must be {kind}", got=value, hint=f"for example {name} {example}")
    return BadInput(name, "has a value that cannot be used", got=value, where=message, hint=see)


def _value(flags: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Return the value that was given for an option, `--name value` or `--name=value`."""
    for position, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag in flags:
            return value if equals else next(iter(arguments[position + 1 :]), None)
    return None
