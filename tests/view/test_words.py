"""Every sentence is said only where its figure means something: random records, and small real runs."""

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import thalweg as tw
from tests.insight import made, swept
from tests.made import blobs, line
from thalweg.core.stop_reason import StopReason
from thalweg.insight.ranking import rank
from thalweg.insight.summary import summarise
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep
from thalweg.run.session.lane_states import Timings
from thalweg.view import text
from thalweg.view.report.page import render
from thalweg.view.sweep import page as sweep_page
from thalweg.view.sweep import text as sweep_text

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOUNS = (
    "steps|epochs|examples|rows|classes|lanes|settings|seeds|predictions|biases|times|evaluations|columns|"
    "windows|parameters|groups|cores|other settings|test examples"
)
NAMES = ("kind 0", "kind 1", "cat", "dog", "0", "1", "north-east")


def words_of(page: str) -> str:
    """Return the text of a page as a reader sees it, without its style and scripts."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " | ", body)).split())


def check(words: str) -> None:
    """Fail if a sentence says something that cannot be."""
    for match in re.finditer(r"(?<![\w.])(-?[\d,]*\.?\d+(?:e[+-]?\d+)?) %", words):
        share = float(match[1].replace(",", ""))
        assert 0 <= share <= 100, words[max(0, match.start() - 80) : match.end() + 40]
    for wrong in (
        r"(?i)\bnan\b",
        r"(?i)\binf\b",
        r"\binfinite\b",
        r"\bNone\b",
        r"(?<![\w.,])-\d[\d,.]* (\w+ )?(" + NOUNS + r")\b",
        r"(?<![\w.,])1 (" + NOUNS + r")\b",
        r"\bby 0\.0* %",
        r"  ,|\( \)|\(\)|;\.|: \.",
    ):
        found = re.search(wrong, words)
        assert not found, f"{wrong}: {words[max(0, found.start() - 80) : found.end() + 40]}"


def numbers(*more):
    finite = st.floats(1e-9, 1e9) | st.floats(-5, 5) | st.sampled_from([0.0, 1.0])
    return finite | st.sampled_from([math.nan, math.inf, -math.inf, None, *more])


@st.composite
def runs(draw) -> Record:
    """A run of any shape: short, diverged, without this or that split, with figures that are not finite."""
    classes = draw(st.sampled_from([2, 3, 30]))
    regression = draw(st.booleans())
    steps, epochs = draw(st.sampled_from([1, 2, 40, 900])), draw(st.sampled_from([0.003, 0.5, 1.0, 12.5]))
    seed, examples = draw(st.integers(0, 99)), draw(st.sampled_from([1, 2, 7, 60]))
    if regression:
        record = made.regression(
            max(2, steps), examples, seed=seed, noise=draw(st.sampled_from([0.0, 0.3, 5.0]))
        )
    else:
        names = draw(st.permutations(NAMES)) * 5
        record = made.classification(
            classes,
            max(2, steps),
            examples=examples,
            seed=seed,
            accuracy=draw(st.sampled_from([0.0, 0.5, 1.0])),
            names=[f"{name}{'' if i < 7 else f' {i}'}" for i, name in enumerate(names[:classes])],
        )
    result = dict(record.result)
    for name in ("train_loss", "validation_loss", "test_loss"):
        result[name] = draw(numbers())
    result |= {"steps": steps, "epochs": epochs, "stopped": draw(st.sampled_from([None, *StopReason]))}
    result["stopped_at"] = {"step": steps, "epoch": epochs}
    if draw(st.booleans()):
        result["test_metric"] = dict(result["test_metric"], value=draw(numbers()))
    if draw(st.booleans()):
        share = st.floats(0, 1) if not regression else numbers()
        result["baseline"] = dict(result["baseline"], value=draw(share))
        metric = result["test_metric"]["value"]
        if not regression and isinstance(metric, float) and not 0 <= metric <= 1:
            result["test_metric"]["value"] = math.nan
    elif not regression:
        result["test_metric"] = {"name": "accuracy", "value": draw(st.floats(0, 1))}
    for name in draw(
        st.sets(st.sampled_from(["test_metric", "baseline", "best", "test_loss", "train_loss"]))
    ):
        result.pop(name, None)
    if draw(st.booleans()):
        result["best"] = {"step": 0, "epoch": 0.0, "validation_loss": draw(numbers())}
    losses = pl.Series("loss", draw(st.lists(numbers(), min_size=1, max_size=5)), dtype=pl.Float32)
    evaluations = _evaluations(draw(st.lists(numbers(), max_size=6)), record.evaluations)
    record = replace(record, result=result, evaluations=evaluations)
    if draw(st.booleans()):
        rows = record.steps.head(len(losses)).with_columns(losses.head(min(len(losses), record.steps.height)))
        record = replace(record, steps=rows)
    return record if draw(st.booleans()) else replace(record, test=pl.DataFrame())


def _evaluations(values: list, like: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "lane": 0,
            "step": 10 * i,
            "epoch": i / 2,
            "part": "validation",
            "loss": v,
            "metric": v,
            "seconds": 0.1,
        }
        for i, v in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=like.schema) if rows else like.clear()


def says_right(record: Record) -> None:
    summary = summarise(record)
    said = " ".join([summary.headline, *(statement.text for statement in summary.statements)])
    for words in (said, text.plain(text.show(record), width=400), words_of(render(record))):
        check(words)
    if record.result.get("stopped") == StopReason.DIVERGED:
        assert summary.level == "bad"
    classes = record.problem.get("data", {}).get("classes")
    for statement in summary.statements:
        if statement.kind == "classes":
            named = re.search(r"class(?:es)? (.*), [\d.]+ %|split: (.*)\.$", statement.text)
            assert named and all(
                name.strip() in map(str, classes) or "more" in name
                for name in re.split(r", | and ", named[1] or named[2])
            ), statement.text


@FEW
@given(runs())
def test_a_run_is_described_in_figures_that_mean_something(record):
    says_right(record)


@st.composite
def sweeps(draw) -> Sweep:
    rates = draw(st.sampled_from([[0.1], [0.1, 0.01], [0.0, 1e-4, 1e-3, 0.01, 0.1]]))
    seeds, validated = draw(st.integers(1, 3)), draw(st.booleans())
    rows = []
    for rate in rates:
        for seed in range(seeds):
            stopped = draw(st.sampled_from(["epochs", "epochs", "diverged", "halved", "interrupted"]))
            row = swept.row(len(rows), draw(st.floats(0.01, 9)), **{"optimizer.lr": rate, "seed": seed})
            row |= {
                "stopped": stopped,
                "validation_metric": draw(st.sampled_from([0.9, 0.97, 1.0, 0.1, math.nan])),
            }
            row |= {"test_metric": draw(st.sampled_from([0.9, 1.0, math.nan])), "train_loss": draw(numbers())}
            row |= {} if validated else {"validation_loss": None, "validation_metric": None}
            row |= {"diverged_at": 1 if stopped == "diverged" else None}
            rows.append(row)
    total = draw(st.floats(0.1, 50))
    spent = {name: total * draw(st.floats(0, 1.2)) for name in ("compile", "train", "evaluate")}
    result = {
        "varied": ["optimizer.lr", "seed"],
        "metric": {"name": "accuracy"},
        "seconds": {"total": total} | spent,
    }
    like = made.classification()
    return Sweep(Path("runs/swept"), result, swept.table(rows), like.problem, like.environment)


@FEW
@given(sweeps())
def test_a_sweep_is_described_in_figures_that_mean_something(sweep):
    ranking = rank(sweep.table, sweep.result["varied"], "accuracy")
    check(text.plain(sweep_text.show(ranking, sweep.result), width=400))
    check(words_of(sweep_page.render(sweep, ranking)))


@given(st.lists(st.floats(0, 9), min_size=3, max_size=3), st.integers(1, 4), st.floats(0, 5))
def test_the_seconds_of_activities_add_up_to_at_most_the_total(parts, threads, earlier):
    shard, whole = Timings(), Timings()
    shard.compile, shard.train, shard.evaluate = parts
    shard.add_earlier({"total": earlier, "compile": 0.0, "train": 0.0, "evaluate": 0.0})
    whole.add(shard)
    seconds = whole.seconds(threads)
    assert seconds["total"] >= earlier - 1e-3
    assert sum(seconds.values()) - seconds["total"] <= seconds["total"] + 1e-3


def _real(name: str):
    small, fast = tw.SGD(lr=0.1), {"batch_size": 16}
    data = blobs(80, classes=int(name.split()[0])) if name[0].isdigit() else blobs(80)
    recipe = tw.Recipe(small, epochs=2, **fast)
    if name == "one step":
        recipe = tw.Recipe(small, steps=1, **fast)
    elif name == "diverged":
        recipe = tw.Recipe(tw.SGD(lr=1e30), epochs=3, **fast)
    elif name == "no validation":
        data = replace(data, validation=None)
    elif name == "no test":
        data = replace(data, test=None)
    elif name == "training alone":
        data = replace(data, test=None, validation=None)
    elif name == "regression":
        data = line(60)
    elif name == "clipped and patient":
        recipe = tw.Recipe(small, epochs=9, clip_norm=1e-3, patience=1, **fast)
    elif name == "whole batches":
        recipe = tw.Recipe(small, batch_size="full", epochs=1)
    return tw.Problem(tw.MLP([None, 4, None]), data), recipe


@pytest.mark.parametrize(
    "name",
    [
        "one step",
        "diverged",
        "no validation",
        "no test",
        "training alone",
        "regression",
        "clipped and patient",
        "whole batches",
        "2 classes",
        "30 classes",
    ],
)
def test_real_runs_are_described_in_figures_that_mean_something(name, tmp_path):
    problem, recipe = _real(name)
    run = tw.train(problem, recipe, keep=tmp_path / "run")
    for record in (run.record, tw.read(tmp_path / "run")):
        says_right(record)
    seconds = run.result["seconds"]
    assert sum(seconds.values()) - seconds["total"] <= seconds["total"] + 1e-3
    headline = summarise(run.record).headline
    if name == "training alone":
        assert "training loss" in headline and "no result" not in headline
    if name == "diverged":
        assert summarise(run.record).level == "bad" and "diverged" in headline


def test_a_sweep_of_real_runs_and_its_cost(tmp_path):
    problem, recipe = _real("2 classes")
    recipes = [replace(recipe, optimizer=tw.SGD(lr=rate)) for rate in (0.1, 0.01, 1e30)]
    swept_runs = tw.train(problem, recipes, keep=tmp_path / "sweep")
    check(words_of(tw.render(swept_runs)))
    check(words_of(tw.render(tmp_path / "sweep")))
    seconds = swept_runs.result["seconds"]
    assert sum(seconds.values()) - seconds["total"] <= seconds["total"] + 1e-3
