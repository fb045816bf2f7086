"""`thalweg play`: the playground."""

import contextlib
import webbrowser
from dataclasses import fields
from importlib import import_module
from typing import Any

from thalweg.core.errors import MissingExtra
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.arguments import load_options
from thalweg.doors.cli.device import Options
from thalweg.engine.compilation import enable_cache, in_use
from thalweg.insight.play.session import Playground
from thalweg.insight.play.sources import read_source
from thalweg.problem.data.options import LoadOptions


def play(options: Options) -> int:
    """Serve the playground until Ctrl-C; return the exit code."""
    server = _server()
    given = _given(load_options(options))
    source = read_source(options["data"], given)
    enable_cache()
    with in_use():
        page = server(lambda: Playground(source), options["port"])
        print(f"{page.address}\nOpen this address in a browser; Ctrl-C ends the playground.", flush=True)
        if options["show"]:
            webbrowser.open(page.address)
        with contextlib.suppress(KeyboardInterrupt):
            page.serve()
    return EXIT_DONE


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(LoadOptions)}
    return {name: value for name, value in options.items() if value != defaults[name]}


def _server() -> Any:
    """Return the class of the server, whose packages are not installed with Thalweg itself.

    Raises:
        MissingExtra: Starlette or uvicorn is not installed.
    """
    try:
        return import_module("thalweg.doors.play.serve").PlayPage
    except ImportError as error:
        rule, hint = "needs Starlette and uvicorn", "pip install 'thalweg[page]'"
        raise MissingExtra("play", rule, got=f"no {error.name}", hint=hint) from error
