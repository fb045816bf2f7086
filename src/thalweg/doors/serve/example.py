"""The page of a served model: what it takes, a request to copy, and one to send."""

import json
import shlex
from importlib.resources import files
from typing import Any

from thalweg.view.figure.html import Markup, element

_STYLE = """
textarea { width: 100%; box-sizing: border-box; min-height: 12rem; font: 0.85rem/1.4 monospace; }
pre { overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
button { font: inherit; padding: 0.35rem 1rem; }
textarea, button { color: inherit; background: transparent; border: 1px solid; border-radius: 4px; }
td, th { text-align: left; padding-right: 1rem; vertical-align: top; overflow-wrap: anywhere; }
"""
_SCRIPT = """
const [rows, answer] = ["rows", "answer"].map((id) => document.getElementById(id));
document.getElementById("send").addEventListener("click", async () => {
  answer.textContent = "...";
  try {
    const headers = {"Content-Type": "application/json"};
    const response = await fetch("predict", {method: "POST", headers, body: rows.value});
    answer.textContent = JSON.stringify(await response.json(), null, 2);
  } catch (error) {
    answer.textContent = String(error);
  }
});
"""


def example_page(schema: dict[str, Any], address: str, nonce: str) -> str:
    """Return the page.

    Args:
        schema: Of the model.
        address: Of the server, with a slash at the end.
        nonce: Of style and script.
    """
    short = schema["example"] if "columns" in schema else {"rows": ["..."]}
    body = json.dumps(short, ensure_ascii=False)
    request = f"curl {address}predict -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    css = Markup(files("thalweg.view.report").joinpath("page.css").read_text(encoding="utf-8") + _STYLE)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"{schema['model']} on {schema['data']}"),
        element("style", css, nonce=nonce),
    )
    parts = [
        element("h1", f"{schema['model']} on {schema['data']}"),
        element("p", f"Predicts {schema['target']!r} ({schema['task']}), {schema['weights']} weights."),
        element("h2", "A request"),
        element("pre", request),
        element("h2", "Try it"),
        element("textarea", json.dumps(schema["example"], indent=1, ensure_ascii=False), id="rows"),
        element("p", element("button", "Predict", id="send", type_="button")),
        element("pre", id="answer", aria_live="polite"),
        *_columns(schema),
        element("p", "GET /schema has this as JSON; GET /health says that the server is up."),
        element("script", Markup(_SCRIPT), nonce=nonce),
    ]
    page = element("html", head, element("body", element("main", *parts)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _columns(schema: dict[str, Any]) -> list[Any]:
    """Return the table of columns, or the shape of an example."""
    if "columns" not in schema:
        return [element("p", f"A row is an array of shape {tuple(schema['shape'])}.")]
    rows = [
        element("tr", *(element("td", text) for text in (each["name"], each["type"], _values(each))))
        for each in schema["columns"]
    ]
    header = element("tr", *(element("th", text) for text in ("column", "type", "values")))
    return [element("h2", "Columns"), element("table", header, *rows)]


def _values(column: dict[str, Any]) -> str:
    known = column.get("categories") or column.get("words") or []
    shown = ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")
    return shown or column.get("format") or f"such as {column['example']}"
