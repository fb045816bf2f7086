"""One refusal, two callers: at a shell options are written as flags, in Python as keyword arguments."""

import ast
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import thalweg as tw
from thalweg.doors.cli.app import _outcome
from thalweg.problem.data.options import LoadOptions

SOURCE = Path(tw.__file__).parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a short run."""
    folder = tmp_path_factory.mktemp("language") / "run"
    tw.fit("iris", "linear", epochs=1, keep=folder)
    return folder


def taken(run):
    return ["fit", "iris", "--out", run], lambda: tw.fit("iris", keep=run), "--force", "force=True"


def both_lengths(run):
    words = "--epochs 3 --steps 4", "epochs=3 steps=4"
    return ["fit", "iris", "--epochs", 3, "--steps", 4], lambda: tw.fit("iris", epochs=3, steps=4), *words


def two_rates(run):
    at_shell = ["fit", "iris", "--lr", "0.1", "--set", "optimizer.lr=0.2"]
    in_python = lambda: tw.fit("iris", lr=0.1, settings=["optimizer.lr=0.2"])  # noqa: E731
    return at_shell, in_python, "--set optimizer.lr=0.2", "settings=['optimizer.lr=0.2']"


def a_rate_that_is_none(run):
    return ["fit", "iris", "--lr", "x"], lambda: tw.fit("iris", lr="x"), "--lr: must be", "lr: must be"


def resumed_nowhere(run):
    at_shell = ["fit", "iris", "--resume", "auto"]
    return at_shell, lambda: tw.fit("iris", resume=True), "--out runs/mine", "keep='runs/mine'"


def another_recipe(run):
    at_shell = ["fit", "iris", "--model", "linear", "--epochs", 2, "--out", run, "--resume", "auto"]
    in_python = lambda: tw.fit("iris", "linear", epochs=2, keep=run, resume=True)  # noqa: E731
    return at_shell, in_python, "thalweg resume RUN --set", "resume(folder, change=Change("


def changed_without_a_folder(run):
    change = tw.Change(settings=["optimizer.lr=0.1"])
    at_shell = ["resume", run, "--set", "optimizer.lr=0.1"]
    return at_shell, lambda: tw.resume(run, change=change), "--out runs/new", "out='runs/new'"


def a_length_as_a_setting(run):
    change = tw.Change(settings=["epochs=3"], out="other")
    at_shell = ["resume", run, "--set", "epochs=3", "--out", "other"]
    return at_shell, lambda: tw.resume(run, change=change), "--epochs or --steps", "epochs= or steps="


def an_option_for_other_data(run):
    return ["fit", "iris", "--size", 3], lambda: tw.fit("iris", size=3), "--size is for", "leave size out"


def a_whole_batch(run):
    at_shell = ["fit", "iris", "--set", "optimizer=l-bfgs"]
    in_python = lambda: tw.Recipe(tw.LBFGS())  # noqa: E731
    return at_shell, in_python, "--set batch_size=full", "batch_size='full'"


def an_odd_interval(run):
    at_shell = ["fit", "iris", "--out", "new", "--checkpoint-every", "soon"]
    in_python = lambda: tw.fit("iris", keep=tw.SaveOptions("new", every="soon"))  # noqa: E731
    return at_shell, in_python, "--checkpoint-every: must", "SaveOptions.every: must"


def no_text(run):
    at_shell, in_python = ["fit", "iris", "--lines"], lambda: tw.fit("iris", lines=True)
    return at_shell, in_python, "leave --lines out", "leave lines out"


def split_of_arrays(run):
    at_shell = ["fit", "digits", "--split", "group=a"]
    return at_shell, lambda: tw.fit("digits", split="group=a"), "--split random", "split='random'"


def nothing_varies(run):
    at_shell = ["sweep", "iris", "--vary", "epochs=1,2", "--vary", "steps=1,2"]
    return at_shell, lambda: tw.Recipe().vary(epochs=[1], steps=[2]), "vary one of them", "vary one of them"


CASES = [
    taken,
    both_lengths,
    two_rates,
    a_rate_that_is_none,
    resumed_nowhere,
    another_recipe,
    changed_without_a_folder,
    a_length_as_a_setting,
    an_option_for_other_data,
    a_whole_batch,
    an_odd_interval,
    no_text,
    split_of_arrays,
    nothing_varies,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_refusal_is_written_for_its_caller(case, run, tmp_path, monkeypatch, capsys):
    arguments, call, at_shell, in_python = case(run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, arguments)])
    assert _outcome() == 2
    shown = capsys.readouterr().err
    assert at_shell in shown and "\nhint: " in shown, shown
    with pytest.raises(tw.ThalwegError) as caught:
        call()
    message = str(caught.value)
    assert in_python in message, message
    assert not re.search(r"(?<![\w-])--[a-z]", message), message


# Where flags are written as flags: the command line, the module that writes them, and style sheets.
FLAGS_ALLOWED = (
    "doors/cli/",
    "core/caller.py",
    "run/cluster/jobs.py",  # calls commands of SLURM
    "view/figure/",
    "view/report/",
    "view/sweep/",
    "view/landscape/",
    "insight/play/export.py",  # writes commands
    "lab/chart.py",
    "lab/markdown.py",  # names the command that renews a page
    "lab/page.py",
)


def strings(path: Path) -> list[tuple[int, str]]:
    """Return the strings of a module and their lines, without docstrings and `either`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            skipped.add(node.body[0].value)  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "either":
            skipped |= {inner for argument in node.args for inner in ast.walk(argument)}
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [(n.lineno, n.value) for n in nodes if n not in skipped]


def test_no_message_writes_an_option_by_itself():
    options = "|".join(field.name for field in fields(LoadOptions))
    keyword = re.compile(rf"\b(use|try|with|give|example|out) ({options})=")
    flag = re.compile(r"(?<![\w-])--[a-z]")
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not str(path.relative_to(SOURCE)).startswith(FLAGS_ALLOWED)
        for line, text in strings(path)
        if keyword.search(text) or flag.search(text)
    ]
    assert found == []
