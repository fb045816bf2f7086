"""HTML elements as values: text is escaped unless it is `Markup`.

Everything in a report passes through here, so that a class named `<script>` is shown and not run.
"""

import html
import json
import math
from collections.abc import Iterable
from typing import Any

from thalweg.core.escape import printable

# Elements without content and without an end tag.
_VOID = frozenset({"br", "input", "meta"})


class Markup(str):
    """Text that is markup. Only this module and the view floor make it, never from data."""

    __slots__ = ()


Content = str | Markup | int | float | None | Iterable["Content"]


def element(name: str, /, *content: Content, **attributes: Any) -> Markup:
    """Make an element.

    Args:
        name: Tag name.
        content: Text (escaped), markup, or several of them; None is nothing.
        attributes: By name; a trailing `_` is dropped and `_` becomes `-` (`class_`, `aria_label`). None and
            False omit an attribute, True gives it without a value.
    """
    inside = join(*content)
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start if name in _VOID else f"{start}{inside}</{name}>")


def standalone_svg(width: int, height: int, *content: Content) -> str:
    """Return a drawing as the text of an SVG file."""
    file = element(
        "svg",
        *content,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family="system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
        font_size=13,
    )
    return f"{file}\n"


def join(*content: Content) -> Markup:
    """Concatenate pieces, escaping plain text."""
    return Markup("".join(map(_piece, content)))


def data_script(value: Any) -> Markup:
    """Embed JSON for the page's script; NaN and infinities become null."""
    text = json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(f'<script type="application/json">{safe}</script>')


def _piece(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return str(content)
    if isinstance(content, str | int | float):
        return html.escape(printable(str(content)))
    return "".join(map(_piece, content))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(printable(str(value)))}"'


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
