"""`thalweg watch`, and `--watch` of commands that train: the live page of the runs under some folders."""

import contextlib
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from thalweg.core.errors import BadInput, MissingExtra
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options

RUNS = Path("runs")  # where a run is written that was given no folder


def watch(folders: Sequence[Path], port: int | None, show: bool) -> int:
    """Serve the page until Ctrl-C; return the exit code."""
    for folder in folders:
        if not folder.is_dir():
            hint = "name a folder that holds run folders, or leave it out for runs/"
            raise BadInput("watch", "must be an existing folder", got=str(folder), hint=hint)
    page = live_page(folders or [RUNS], port)
    print(f"{page.address}\nOpen this address in a browser; Ctrl-C ends the page, not the runs.", flush=True)
    if show:
        webbrowser.open(page.address)
    with contextlib.suppress(KeyboardInterrupt):
        page.serve()
    return EXIT_DONE


@contextlib.contextmanager
def watching(options: Options) -> Iterator[None]:
    """Serve the page of the run that is about to train, if `--watch` asks for it."""
    if not options["watch"]:
        yield
        return
    with live_page([options["out"] or RUNS]) as page:
        print(f"watch   {page.address}", file=sys.stderr, flush=True)
        yield


def live_page(folders: Sequence[Path], port: int | None = None) -> Any:
    """Return the server of the live page, which is not installed with Thalweg itself.

    Raises:
        MissingExtra: Starlette or uvicorn is not installed.
        BadInput: The port is taken.
    """
    try:
        module = import_module("thalweg.doors.page.serve")
    except ImportError as error:
        rule, hint = "needs Starlette and uvicorn", "pip install 'thalweg[page]'"
        raise MissingExtra("watch", rule, got=f"no {error.name}", hint=hint) from error
    return module.LivePage(folders, port)
