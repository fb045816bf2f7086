"""The lab: verdicts follow from a rule, reversed arms turn them, and experiments are found by their files."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import thalweg as tw
from tests.doors.process import called
from thalweg.core.errors import BadInput
from thalweg.lab import book, markdown, page
from thalweg.lab.bench import Bench
from thalweg.lab.experiment import ABOVE, EQUAL, Word, checked_values, experiment, judge
from thalweg.lab.running import run_experiment
from thalweg.lab.setups import toy_line
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

NAMES = list(book.names())


def check(values, bound=0.0, when=""):
    return checked_values("a figure", values, ABOVE, bound, when=when)


def test_a_check_holds_only_with_its_whole_interval():
    assert check([1.0, 1.1, 0.9]).holds
    assert not check([1.0, -0.8, 2.0]).holds  # the mean is above 0, the interval is not
    assert not check([-1.0, -1.1, -0.9]).holds
    assert not check([]).holds


def test_a_lane_that_diverged_counts_as_infinite():
    assert check({0: None, 1: 2.0}).holds
    assert not check({0: None, 1: -2.0}).holds
    assert not check([float("nan"), 1.0]).holds


def test_arithmetic_has_a_tolerance_and_no_interval():
    assert checked_values("w", 0.503, EQUAL, 0.503, tolerance=1e-6).arithmetic
    assert not checked_values("w", 0.504, EQUAL, 0.503, tolerance=1e-6).holds
    assert not checked_values("w", float("nan"), EQUAL, 0.503, tolerance=1e-6).holds


@pytest.mark.parametrize(
    ("checks", "word", "text"),
    [
        ([check(1.0), check(2.0)], Word.REPRODUCED, "reproduced"),
        ([check(1.0), check(-2.0)], Word.NOT, "not reproduced"),
        ([check(1.0, when="warm"), check(-1.0, when="cold")], Word.PARTLY, "reproduced only warm"),
        ([check(1.0, when="warm"), check(2.0, when="cold")], Word.REPRODUCED, "reproduced"),
        ([check(-1.0, when="warm"), check(-2.0, when="cold")], Word.NOT, "not reproduced"),
        ([check(1.0, when="warm"), check(-1.0, when="warm")], Word.NOT, "not reproduced"),
        ([check(-1.0), check(1.0, when="warm")], Word.NOT, "not reproduced"),
        ([], Word.NOT, "not reproduced"),
    ],
)
def test_the_verdict_follows_from_the_checks(checks, word, text):
    verdict = judge(checks)
    assert (verdict.word, str(verdict)) == (word, text)


def test_every_file_is_an_experiment_of_at_most_60_lines():
    assert len(NAMES) >= 62
    for each in book.experiments():
        assert len(book.code(each).splitlines()) <= 60, each.name
        assert each.function.__name__ == each.name, "a function has the name of its file"
        assert each.claim.endswith(".") and each.source and each.counts and not each.counts.endswith(".")
    assert set(book.names().values()) == set(book.CHAPTERS)


def test_the_books_of_docs_have_every_experiment():
    docs = Path(__file__).parents[2] / "docs"
    for each in book.experiments():
        assert f"\n## {each.name}\n\n{each.claim}\n" in (docs / "lab" / f"{each.chapter}.md").read_text(), (
            each.name
        )
        assert each.counts in (docs / "lab" / f"{each.chapter}.md").read_text(), each.name
        assert (docs / "lab" / f"{each.name}.svg").exists()
    assert f"\n{len(NAMES)} experiments;" in (docs / "lab" / "README.md").read_text()
    assert f"`thalweg lab` holds {len(NAMES)} claims" in (docs / "lab.md").read_text()
    assert f"\n{len(NAMES)} claims of the texts" in (docs.parent / "README.md").read_text()


def planted(rates):
    """Return an experiment whose claim is that the first rate ends lower than the second."""

    def claimed(lab: Bench) -> None:
        """Train a regression with both rates."""
        recipes = {name: Recipe(SGD(lr=rate), batch_size="full", steps=20) for name, rate in rates.items()}
        arms = lab.train(toy_line(), recipes, exact=True)
        lab.below("loss at the first minus that at the second", arms.gap(*rates, "train_loss"))
        lab.tell("the loss", "0", arms.values(next(iter(rates)), "train_loss"), 0.0, 0.3)
        lab.draw("Loss", arms.series())
        lab.intervals("Loss at the end", {n: arms.values(n) for n in rates}, "loss")

    claimed.__module__ = "thalweg.lab.rates.claimed"
    return experiment(claim="The first rate is better.", source="a test", counts="its loss is lower")(claimed)


@pytest.fixture(scope="module")
def reports():
    fast, slow = {"fast": 0.3}, {"slow": 0.003}
    return [run_experiment(planted(fast | slow), seeds=3), run_experiment(planted(slow | fast), seeds=3)]


def test_swapping_the_arms_turns_the_verdict(reports):
    assert [str(each.verdict) for each in reports] == ["reproduced", "not reproduced"]
    assert reports[0].table.height == 6
    assert [each.same for each in reports[0].told] != [each.same for each in reports[1].told]


def test_a_share_is_written_in_percent_where_the_text_does():
    lab = Bench(seeds=range(3))
    lab.tell("accuracy", "97.2 %", {0: 0.94, 1: 0.95, 2: 0.96}, 0.972, 0.005)
    lab.tell("loss", "0.97", 0.95, 0.97, 0.005)
    lab.tell("accuracy", "97.2 %", 0.97, 0.972, 0.005)
    assert [told.came for told in lab.told] == ["95.00 % (92.52 to 97.48 %)", "0.950000", "97.00 %"]
    assert [told.same for told in lab.told] == [False, False, True]


def swapped(monkeypatch, one, other):
    """Train the recipe of each of two variants under the name of the other."""
    train = Bench.train

    def reversed_arms(self, problem, recipes, **options):
        names = {one: other, other: one}
        turned = {name: recipes[names.get(name, name)] for name in recipes}
        return train(self, problem, turned, **options)

    monkeypatch.setattr(Bench, "train", reversed_arms)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("parabola", "rate 0.5", "rate 0.1"),
        ("nesterov", "heavy ball", "Nesterov"),
        ("divergence", "0.95 of the edge", "1.5 of the edge"),
    ],
)
def test_swapping_the_arms_of_an_experiment_turns_its_verdict(name, one, other, monkeypatch):
    assert tw.lab.run(name, seeds=2).verdict.word is not Word.NOT
    swapped(monkeypatch, one, other)
    assert tw.lab.run(name, seeds=2).verdict.word is Word.NOT


def test_broken_arithmetic_fails_the_command(tmp_path, monkeypatch):
    module = import_module("thalweg.lab.updates.one_step")
    kept = module.function
    monkeypatch.setattr(module, "function", lambda height, start: kept(lambda w: -0.4 * w[0], start))
    process = called("lab", "run", "one_step", "--quick", "--json", "--out", "lab", at=tmp_path)
    assert process.returncode == 3, process.stderr
    assert json.loads(process.stdout)["verdict"] == "not reproduced"


def test_the_command_writes_a_page_a_figure_a_table_and_a_verdict(tmp_path):
    process = called("lab", "run", "chain_rule", "--out", "lab", at=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "holds  the gradient of the tape: 17.00; needed: equal to 17.0000" in process.stdout
    names = {path.name for path in (tmp_path / "lab" / "chain_rule").iterdir()}
    assert names == {page.PAGE, page.FIGURE, page.TABLE, page.VERDICT}
    listed = called("lab", "--out", "lab", at=tmp_path)
    assert "chain_rule" in listed.stdout and "1 with a verdict" in listed.stdout
    code = called("lab", "show", "chain_rule", "--code", at=tmp_path)
    assert "def chain_rule(lab: Bench)" in code.stdout


def test_the_book_links_every_experiment_that_ran(reports, tmp_path, monkeypatch):
    for report in reports[:1]:
        page.write(report, tmp_path / "claimed")
    monkeypatch.setattr(page, "names", lambda: {"claimed": "rates"})
    text = page.write_book(tmp_path).read_text()
    assert 'href="claimed/index.html"' in text and "reproduced" in text


def test_the_book_in_markdown_takes_in_one_experiment_and_keeps_the_others(reports, tmp_path, monkeypatch):
    order = {"before": "rates", "claimed": "rates", "claimed_again": "rates"}
    for module in (page, markdown):
        monkeypatch.setattr(module, "names", lambda: order)
    docs, out = tmp_path / "docs", tmp_path / "out"
    docs.mkdir()
    (docs / "rates.md").write_text(
        "# Rates\n\n## before\n\nStays.\n\n## claimed\n\nGoes.\n\n## gone\n\nGoes.\n"
    )
    (docs / "README.md").write_text(
        "| [before](rates.md#before) | Stays. | reproduced |\n| [gone](rates.md#gone) | - | - |\n"
    )
    page.write(reports[0], out / "claimed")
    page.write(reports[1], out / "claimed_again")
    markdown.write_markdown(out, docs, "claimed")
    chapter, contents = (docs / "rates.md").read_text(), (docs / "README.md").read_text()
    assert chapter.index("Stays.") < chapter.index("## claimed") and "Goes." not in chapter
    assert "**Reproduced.**" in chapter and "![The first rate is better.](claimed.svg)" in chapter
    assert "with 3 seeds" in chapter and not (docs / "claimed_again.svg").exists()
    assert "2 experiments" in contents and "| Stays. | reproduced |" in contents and "gone" not in contents
    assert contents.count("| [claimed](rates.md#claimed) | the loss | 0 |") == 1
    markdown.write_markdown(out, docs, "claimed")
    assert [(docs / name).read_text() for name in ("rates.md", "README.md")] == [chapter, contents]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "shufling"), "did you mean 'shuffling'?"),
        (("run",), "takes one name"),
        (("run", "shuffling", "--all"), "takes no name with --all"),
        (("show", "shuffling", "--quick"), "options of their own"),
        (("walk", "shuffling"), "must be run or show"),
        (("run", "shuffling", "--seeds", "0"), "seeds must be a number from 1"),
        (("run", "shuffling", "--quick", "--markdown", "docs"), "takes experiments that ran in full"),
    ],
)
def test_bad_input_is_refused(arguments, words, tmp_path):
    process = called("lab", *arguments, at=tmp_path)
    assert process.returncode == 2
    assert words in process.stderr, process.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", [0, -1, True, "5", [1, 1], [0.5], None, 10**30, np.nan])
def test_wrong_seeds_are_refused(seeds):
    with pytest.raises(BadInput, match="seeds must be"):
        tw.lab.run("one_step", seeds=seeds)
