"""The book as Markdown: a file for each chapter, the figures, and README.md with all verdicts.

Experiments are written into the book that is there: what ran takes the place of what it said before, and all
others stay. Every entry therefore says itself when and on what it ran.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.core.disk import DISK, replace
from thalweg.insight.wording import figure, plural
from thalweg.lab.book import CHAPTERS, names
from thalweg.lab.page import FIGURE, VERDICT_LIMIT, machine, sentence_case, verdicts

CONTENTS = "README.md"
_ENTRY = re.compile(r"^## (\w+)$", re.MULTILINE)
_ROW = re.compile(r"^\| \[(\w+)\]\(\w+\.md#\w+\) \| .*\|$", re.MULTILINE)
_TEXTS = "## Figures of the texts, and what came out"
_ABOUT = """\
# The lab: claims about training, run and judged

{count}; how to read it: [lab.md](../lab.md).
Every entry says when, over how many seeds and on which machine it ran.
`thalweg lab run --all --markdown docs/lab` makes all of it anew, and
`thalweg lab run NAME --markdown docs/lab` one entry, with its figure and its rows here.
"""


def write_markdown(source: Path, folder: Path, only: str | None = None) -> None:
    """Write the experiments that have run below a folder into the book in Markdown.

    Args:
        source: The folder of the experiments' folders.
        folder: The book; it need not exist.
        only: The name of one experiment; None for all.

    Raises:
        OSError: It cannot be written.
    """
    DISK.make_folder(folder)
    found = {name: each for name, each in verdicts(source).items() if only in (None, name)}
    for name in found:
        replace(folder / f"{name}.svg", DISK.read(source / name / FIGURE, VERDICT_LIMIT), durable=False)
    for chapter in {each["chapter"] for each in found.values()}:
        path = folder / f"{chapter}.md"
        entries = _in_order(_entries(_text(path)), {n: _entry(e) for n, e in found.items()}, chapter)
        text = "\n".join([f"# {CHAPTERS[chapter]}\n", *entries.values()])
        replace(path, text.encode(), durable=False)
    path = folder / CONTENTS
    replace(path, _contents(_text(path), found).encode(), durable=False)


def _text(path: Path) -> str:
    return DISK.read(path, VERDICT_LIMIT).decode() if DISK.is_there(path) else ""


def _entries(text: str) -> dict[str, str]:
    """Return the entries of a chapter's file by name."""
    _, *parts = _ENTRY.split(text)
    return {name: f"## {name}{body.rstrip()}\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _in_order(
    before: Mapping[str, str], after: Mapping[str, str], chapter: str | None = None
) -> dict[str, str]:
    """Return what is known of each experiment, the new before the old, in the order of the book."""
    known = {**before, **after}
    return {name: known[name] for name, own in names().items() if name in known and chapter in (None, own)}


def _entry(each: Mapping[str, Any]) -> str:
    checks = [f"- {'holds' if c['holds'] else '**fails**'}: {_check_text(c)}" for c in each["checks"]]
    lines = [
        f"## {each['experiment']}",
        "",
        each["claim"],
        "",
        f"**{sentence_case(each['verdict'])}.** Counts as reproduced if {each['counts']}. "
        f"Whose claim: {each['source']}.",
        "",
        *checks,
        *(f"- {note}" for note in each["notes"]),
        "",
        f"![{each['claim']}]({each['experiment']}.svg)",
        "",
        f"Run on {each['day']} with {plural(len(each['seeds']), 'seed')}: {machine(each['environment'])}.",
    ]
    return "\n".join(lines) + "\n"


def _check_text(check: Mapping[str, Any]) -> str:
    interval = ""
    if check["low"] is not None and check["low"] != check["high"]:
        interval = f" ({figure(check['low'], 3)} to {figure(check['high'], 3)})"
    when = f"{check['when']}: " if check["when"] else ""
    need = f"{check['rule']} {figure(check['bound'], 6)}"
    return f"{when}{check['what']}: {figure(check['mean'], 4)}{interval}; needed: {need}"


def _contents(before: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    index, _, texts = before.partition(_TEXTS)
    verdicts_of = _in_order(_rows(index), {name: _verdict_row(each) for name, each in found.items()})
    figures = _in_order(_rows(texts), {name: _told_rows(each) for name, each in found.items()})
    lines = [_ABOUT.format(count=plural(len(verdicts_of), "experiment"))]
    for chapter, title in CHAPTERS.items():
        own = [row for name, row in verdicts_of.items() if names()[name] == chapter]
        if own:
            lines += [f"## [{title}]({chapter}.md)", "", "| experiment | claim | verdict |", "|---|---|---|"]
            lines += [*own, ""]
    lines += [_TEXTS, "", "| experiment | figure | texts | here | agrees |", "|---|---|---|---|---|"]
    lines += [rows for rows in figures.values() if rows]
    return "\n".join(lines) + "\n"


def _rows(text: str) -> dict[str, str]:
    """Return the rows of tables by the experiment that they begin with."""
    found: dict[str, str] = {}
    for row in _ROW.finditer(text):
        name = row.group(1)
        found[name] = f"{found[name]}\n{row.group()}" if name in found else row.group()
    return found


def _verdict_row(each: Mapping[str, Any]) -> str:
    return _row(each, each["claim"], each["verdict"])


def _told_rows(each: Mapping[str, Any]) -> str:
    return "\n".join(_row(each, *_told(told)) for told in each["told"])


def _told(told: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return told["what"], told["text"], told["came"], "yes" if told["same"] else "**no**"


def _row(each: Mapping[str, Any], *cells: str) -> str:
    name = each["experiment"]
    return f"| [{name}]({each['chapter']}.md#{name}) | {' | '.join(cells)} |"
