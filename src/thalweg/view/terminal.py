"""A terminal to print on: whatever is shown there, no text in it can act on the terminal (`core.escape`)."""

import sys
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult

from thalweg.core.escape import printable


@dataclass(frozen=True)
class Escaped:
    """Something printable whose text is escaped; its colours and layout stay.

    Args:
        shown: For `rich.console.Console.print`.
    """

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        for segment in console.render(self.shown, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class _Escaping(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Escaped(shown) for shown in renderables]


def terminal(file: TextIO | None = None, **settings: Any) -> Console:
    """Return a console that escapes all text, on standard output or a stream.

    What a `rich.live.Live` draws passes it by, and has to be `Escaped` itself.
    """
    console = Console(file=file, **settings)
    console.push_render_hook(_Escaping())
    return console


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line of plain text, escaped."""
    print(printable(text), file=sys.stdout if file is None else file, flush=file is not None)
