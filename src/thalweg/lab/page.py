"""The book as a static site: a page for each experiment, and an index by chapter."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from thalweg.core.disk import DISK, replace
from thalweg.core.documents import parse_json
from thalweg.insight.intervals import estimate_mean
from thalweg.insight.wording import count, figure, plural, seconds
from thalweg.lab.book import CHAPTERS, code, names
from thalweg.lab.experiment import Check, Word
from thalweg.lab.running import Report
from thalweg.run.folder.filesystem import plain
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element, join
from thalweg.view.report.page import document, head, tiles

PAGE, FIGURE, TABLE, VERDICT = "index.html", "figure.svg", "table.csv", "verdict.json"
VERDICT_LIMIT = 1 << 22
MOST_ROWS = 40  # of a table on a page; all are in table.csv
_LEVELS = {Word.REPRODUCED: "good", Word.PARTLY: "unclear", Word.NOT: "bad"}
_STYLE = Markup(
    ".lab-figure img{display:block;width:100%;max-width:720px;height:auto;border:1px solid var(--rule);"
    "border-radius:10px} .wide{overflow-x:auto} .lab-list{list-style:none;display:grid;gap:.7rem}"
    " .lab-list li{display:grid;gap:.1rem} .lab-list a{font-weight:600;color:var(--accent)}"
    " .lab-list .verdict{font-size:.88rem;color:var(--soft)} .verdict b.good{color:var(--good)}"
    " .verdict b.unclear{color:var(--unclear)} .verdict b.bad{color:var(--bad)}"
    " pre.code{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:10px;"
    "padding:1rem;font-size:.82rem;line-height:1.45} .lab-table td,.lab-table th{text-align:left;"
    "font-weight:400;padding:.28rem .9rem .28rem 0;border-bottom:1px solid var(--rule);font-size:.88rem}"
)


def write(report: Report, folder: Path) -> None:
    """Write an experiment's folder: index.html, figure.svg, table.csv, verdict.json.

    Raises:
        OSError: It cannot be written.
    """
    DISK.make_folder(folder)
    content = io.BytesIO()
    if report.table.width:
        report.table.write_csv(content)
    sealed = json.dumps(plain(report.to_dict()), indent=2, ensure_ascii=False, allow_nan=False)
    files = {
        FIGURE: report.figure.encode(),
        TABLE: content.getvalue(),
        VERDICT: f"{sealed}\n".encode(),
        PAGE: render(report).encode(),
    }
    for name, text in files.items():
        replace(folder / name, text, durable=False)


def verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the verdict.json of every experiment below a folder, by name, in the order of the book."""
    found = {}
    for name in names():
        path = folder / name / VERDICT
        if DISK.is_there(path):
            found[name] = parse_json(DISK.read(path, VERDICT_LIMIT))
    return found


def render(report: Report) -> str:
    """Render an experiment as one page, beside its figure.svg."""
    experiment = report.experiment
    about = [("for " if check.when else "") + check.sentence() for check in report.checks]
    levels = ["good" if check.holds else "bad" for check in report.checks]
    facts = [
        ("whose claim", experiment.source),
        ("seeds", count(len(report.seeds))),
        ("updates, all lanes", count(report.lane_steps)),
        ("time", seconds(report.seconds)),
    ]
    heading = head(
        f"{CHAPTERS[experiment.chapter]} / {experiment.name}" + (" / quick form" if report.quick else ""),
        experiment.claim,
        [tiles(facts)],
        (sentence_case(str(report.verdict)), list(zip(about, levels, strict=True))),
    )
    drawn = element("img", alt=experiment.claim, src=FIGURE, width="480")
    sections = [
        ("figure", "Figure", element("div", drawn, class_="lab-figure")),
        ("texts", "What the texts say, and what came out", _told([report.to_dict()])),
        ("notes", "Notes", _sentences([f"It counts as reproduced if {experiment.counts}.", *report.notes])),
        ("table", "Table", element("div", _summary(report.table), class_="wide")),
        ("code", "The experiment", element("pre", code(experiment), class_="code")),
    ]
    foot = join(
        f"Run on {report.day} with {plural(len(report.seeds), 'seed')}: {machine(report.environment)}. ",
        "Intervals are 95 % intervals of means over seeds, paired where two variants are compared. ",
        element("a", "All experiments", href="../index.html"),
    )
    return document(f"{experiment.name}: {report.verdict}", heading, sections, foot, style=_STYLE)


def write_book(folder: Path) -> Path:
    """Write the index of all experiments below a folder that have run; return its path."""
    found = verdicts(folder)
    sections = [
        (chapter, title, _chapter([each for each in found.values() if each["chapter"] == chapter]))
        for chapter, title in CHAPTERS.items()
    ]
    sections.append(("texts", "Figures of the texts, and what came out", _told(found.values())))
    words = [each["word"] for each in found.values()]
    counted = [(word.value, count(words.count(word.value))) for word in Word]
    heading = head(
        "thalweg lab",
        "Claims about training by gradient descent, run, drawn and judged",
        [tiles([("experiments", count(len(found))), *counted])],
        ("How to read it", [(sentence, None) for sentence in HOW]),
    )
    first = next(iter(found.values()), {"environment": {}, "day": ""})
    foot = join(f"Run on {first['day']} on {machine(first['environment'])}.")
    target = folder / PAGE
    text = document("The lab", heading, sections, foot, style=_STYLE)
    replace(target, text.encode(), durable=False)
    return target


HOW = (
    "Every verdict follows from checks by a rule in code: a claim holds where the whole 95 % interval of "
    "each of its figures, over the seeds, lies on the side that the claim says.",
    "Reproduced only under a condition: the claim was tried under several conditions and holds under those "
    "that are named.",
    "Two variants that are compared start from the same weights and see the same batches, seed by seed.",
)


def machine(environment: Mapping[str, Any]) -> str:
    """Say in one clause what computed a report."""
    named = ("thalweg", "jax", "equinox", "optax", "numpy")
    versions = [f"{name} {environment[name]}" for name in named if name in environment]
    cores = plural(environment["cores"], "core") if environment.get("cores") else ""
    return ", ".join(part for part in (str(environment.get("processor", "")), cores, *versions) if part)


def _chapter(found: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not found:
        return None
    items = []
    for each in found:
        word = element("b", each["verdict"], class_=_LEVELS[Word(each["word"])])
        link = element("a", each["experiment"], href=f"{each['experiment']}/{PAGE}")
        items.append(
            element("li", link, element("span", each["claim"]), element("span", word, class_="verdict"))
        )
    return element("ul", items, class_="lab-list")


def _told(found: Iterable[Mapping[str, Any]]) -> Markup | None:
    rows = [_cells(t["what"], t["text"], t["came"]) for each in found for t in each["told"]]
    if not rows:
        return None
    return element("div", table(["figure", "texts", "here"], rows, "lab-table"), class_="wide")


def _sentences(sentences: Sequence[str]) -> Markup:
    return element("ul", [element("li", sentence) for sentence in sentences], class_="findings")


def _summary(frame: pl.DataFrame) -> Markup:
    """Return the table: means with intervals by variant, then the rows of the experiment's own."""
    parts: list[Content] = []
    lanes = {"variant", "seed"} <= set(frame.columns)
    if lanes:
        shown = frame.filter(pl.col("variant").is_not_null())
        by = [name for name in ("set", "variant") if name in frame.columns]
        rows = []
        for key, group in shown.group_by(by, maintain_order=True):
            lost = group["diverged_at"].drop_nulls().len()
            cells = [*(str(part or "") for part in key), *(_mean(group[c]) for c in ("loss", "metric"))]
            rows.append(
                _cells(*cells, figure(group["steps"].max(), 6), f"{lost} of {len(group)}" if lost else "")
            )
        parts.append(table([*by, "loss", "metric", "updates", "diverged"], rows, "lab-table"))
    own = frame.filter(pl.col("variant").is_null()) if lanes else frame
    own = own[[column for column in own.columns if own[column].null_count() < len(own)]] if len(own) else own
    if len(own):
        rows = [_cells(*map(_cell, row)) for row in own.head(MOST_ROWS).iter_rows()]
        parts.append(table(own.columns, rows, "lab-table"))
    note = element("p", element("a", "All rows", href=TABLE), class_="note")
    return join(*parts, note)


def _mean(column: pl.Series) -> str:
    values = [float(v) for v in column.drop_nulls()]
    estimate = estimate_mean(values)
    return "-" if estimate is None else estimate.text()


def _cell(value: Any) -> str:
    return figure(value) if isinstance(value, float) else "" if value is None else str(value)


def _cells(*cells: str) -> Markup:
    return element("tr", [element("td", cell) for cell in cells])


def sentence_case(text: str) -> str:
    """Return a text with its first letter as a capital; abbreviations in it stay as they are."""
    return text[:1].upper() + text[1:]


def check_line(check: Check) -> str:
    """Write a check with whether it holds, for a terminal."""
    return f"{'holds' if check.holds else 'FAILS'}  {check.sentence()}"
