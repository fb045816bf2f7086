"""`thalweg landscape`: the loss around one run, between two, through three, or on a surface."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thalweg.core.errors import BadInput, RecipeError, RunFolderError, nearest
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.outfile import check_out, is_page_of, write_out
from thalweg.doors.cli.output import print_json, print_text
from thalweg.insight.fit import RecipeRequest
from thalweg.insight.landscape.curvature import Curvature, curvature_of
from thalweg.insight.landscape.fitted import fitted
from thalweg.insight.landscape.landscape import LandscapeOptions, landscape_of, on_surface
from thalweg.insight.landscape.line import Line
from thalweg.insight.landscape.points import ROWS, Points
from thalweg.insight.landscape.subject import Subject, subject_of
from thalweg.insight.landscape.surface import Landscape
from thalweg.problem.surfaces import SURFACES, surface
from thalweg.recipe import vary
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.view.landscape.file import svg
from thalweg.view.landscape.fitted import draw as draw_fitted
from thalweg.view.landscape.page import render, show
from thalweg.view.terminal import say

PAGE = "landscape.html"
# Names of optimizers with a setting that the texts know by a name of their own.
SHORT: dict[str, dict[str, Any]] = {
    "momentum": {"name": "sgd", "momentum": 0.9},
    "nesterov": {"name": "sgd", "momentum": 0.9, "nesterov": True},
}
# Options that only a surface has, and those that only runs have, with their defaults.
_OF_SURFACES = {"vary": None, "set_": None, "steps": 30, "start": None, "noise": 0.0}
_OF_RUNS = {
    "plane": None,
    "path": False,
    "adaptive": False,
    "curve": 0,
    "batch_norm": None,
    "data": None,
    "curvature": False,
    "sharpness": False,
    "weights": "",
    "split": "train",
    "span": 1.0,
    "rows": ROWS,
}


def landscape(options: Options) -> int:
    """Compute, draw and print; return the exit code."""
    use_device(options["device"])
    names, is_surface = options["runs"], _is_surface(options["runs"])
    _reject(options, _OF_RUNS if is_surface else _OF_SURFACES, is_surface)
    page = _page(options)
    if not is_page_of(page, Path(names[0])):
        check_out(page, force=options["force"])
    check_out(page.with_suffix(".svg"), force=True)
    known: list[Curvature] = []
    others = []
    if is_surface:
        shown: Landscape | Line = _surface(names, options)
    else:
        subjects = [_subject(name, options) for name in names]
        shown = landscape_of(subjects, _options(options), _progress(options, "points"))
        known = _curvatures(subjects, options)
        answers = fitted(subjects[0]) if len(subjects) == 1 else None
        others = [] if answers is None else [("answers", "What it has learned", draw_fitted(answers))]
    again = options["force"] or is_page_of(page, Path(names[0]))
    write_out(page, render(shown, known, others).encode(), force=again)
    write_out(page.with_suffix(".svg"), svg(shown).encode(), force=True)
    if options["json"]:
        plain = shown.to_dict() | {"curvature": [each.to_dict() for each in known]}
        print_json(plain | {"page": str(page)})
    elif not options["quiet"]:
        print_text(show(shown, known))
        say(f"\npage    {page}\npicture {page.with_suffix('.svg')}")
    return EXIT_DONE


def _is_surface(names: list[str]) -> bool:
    """Return whether the argument is a surface; refuse what is neither one nor a folder."""
    missing = [name for name in names if not Path(name).exists()]
    if len(names) == 1 and missing and names[0] in SURFACES:
        return True
    if missing and missing[0] in SURFACES:
        hint = f"thalweg landscape {missing[0]}"
        raise BadInput("landscape", "a surface is drawn alone", got=" ".join(names), hint=hint)
    if missing:
        near = nearest(missing[0], SURFACES)
        hint = f"did you mean the surface {near}?" if near else f"a surface is one of: {', '.join(SURFACES)}"
        raise RunFolderError("landscape", "must be a run folder or a surface", got=missing[0], hint=hint)
    return False


def _page(options: Options) -> Path:
    out: Path | None = options["out"]
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        hint = f"for example --out {out.with_suffix('.html')}; the picture is written beside it as .svg"
        raise BadInput("--out", "must be an HTML file", got=str(out), hint=hint)
    first = Path(options["runs"][0])
    if out is not None or (len(options["runs"]) == 1 and first.is_dir()):
        return out or first / PAGE
    names = (Path(PAGE), *(Path(f"landscape-{number}.html") for number in range(2, 1000)))
    return next((path for path in names if not path.exists()), names[0])


def _reject(options: Options, others: dict[str, Any], is_surface: bool) -> None:
    """Refuse an option that means nothing here."""
    for name, default in others.items():
        if options[name] not in (default, [] if default is None else default):
            flag = "--" + name.strip("_").replace("_", "-")
            rule = "is for runs, not for a surface" if is_surface else "is for a surface, not for runs"
            value = options[name]
            raise BadInput(flag, rule, got=None if value is True else value, hint="leave it out")


def _surface(names: list[str], options: Options) -> Landscape:
    problem = surface(names[0], start=_start(options["start"]), noise=options["noise"])
    base = Recipe(SGD(lr=0.1), batch_size=1, steps=options["steps"])
    base = RecipeRequest(base, tuple(options["set_"] or ())).for_data(problem.data)
    drawn = [base]
    if options["vary"]:
        drawn = vary.product(base, vary.read_columns(base, _varied(options["vary"])))
    return on_surface(problem, drawn, LandscapeOptions(side=options["side"]))


def _start(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise BadInput("--start", "must be two numbers", got=text, hint="for example --start 3,2") from None


def _varied(texts: list[str]) -> dict[str, Any]:
    """Return what each setting ranges over; `momentum` and `nesterov` are optimizers here."""
    varied: dict[str, Any] = {}
    for text in texts:
        path, equals, values = (word.strip() for word in text.partition("="))
        if not equals or not path:
            hint = "for example --vary optimizer=sgd,momentum,adam"
            raise RecipeError("--vary", "must be PATH=RANGE", got=text, hint=hint)
        if path in varied:
            hint = "put all its values in one range"
            raise RecipeError("--vary", "each setting may be given only once", got=text, hint=hint)
        words = [word.strip() for word in values.split(",")]
        short = path == "optimizer" and any(word in SHORT for word in words)
        varied[path] = [SHORT.get(word, word) for word in words] if short else values
    return varied


def _subject(name: str, options: Options) -> Subject:
    given = {"data": options["data"], "weights": options["weights"] or None}
    return subject_of(Path(name), **given, unverified=options["unverified"])


def _options(options: Options) -> LandscapeOptions:
    names = ("plane", "path", "side", "adaptive", "span", "seed", "split", "batch_norm", "curve")
    return LandscapeOptions(rows=options["rows"] or None, **{name: options[name] for name in names})


def _curvatures(subjects: list[Subject], options: Options) -> list[Curvature]:
    if not (options["curvature"] or options["sharpness"]):
        return []
    found = []
    for subject in subjects:
        points = Points(subject, options["split"], min(options["rows"] or ROWS, ROWS))
        progress = _progress(options, f"products for {subject.name}")
        found.append(curvature_of(points, history=options["sharpness"], progress=progress))
    return found


def _progress(options: Options, noun: str) -> Callable[[int, int], Any] | None:
    """Return a function that shows how far the work is, on a terminal only."""
    if options["quiet"] or not sys.stderr.isatty():
        return None

    def report(done: int, whole: int) -> None:
        of = f" of {whole:,}" if whole != done else ""
        print(f"\r{done:,}{of} {noun}   ", end="", file=sys.stderr, flush=True)
        if done >= whole and noun == "points":
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)

    return report
