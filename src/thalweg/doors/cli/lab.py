"""`thalweg lab`: lists the experiments, runs them, shows their code, and makes the book."""

import sys
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.errors import BadInput, did_you_mean
from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import print_json, print_text
from thalweg.insight.wording import plural, seconds
from thalweg.lab.book import CHAPTERS, code, experiments, find
from thalweg.lab.experiment import Experiment, Word
from thalweg.lab.markdown import write_markdown
from thalweg.lab.page import PAGE, check_line, verdicts, write, write_book
from thalweg.lab.running import Report, run_all, run_experiment
from thalweg.view.terminal import say
from thalweg.view.text import LEVELS

_COLOURS = {Word.REPRODUCED: "good", Word.PARTLY: "unclear", Word.NOT: "bad"}


def lab(options: Options) -> int:
    """List, run or show; return the exit code: 3 where the arithmetic of a quick run does not hold."""
    verb, *rest = options["what"] or [""]
    if verb not in ("", "run", "show"):
        hint = did_you_mean(verb, ["run", "show"])
        raise BadInput("lab", "the first word must be run or show", got=verb, hint=hint)
    _reject(verb, rest, options)
    if verb == "":
        return _list(options)
    if verb == "show":
        return _show(find(rest[0]), options)
    use_device(options["device"])
    return _run_all(options) if options["all_"] else _run(find(rest[0]), options)


def _reject(verb: str, rest: list[str], options: Options) -> None:
    """Refuse options that the verb does not have, and a wrong number of names."""
    of_run = [("--all", options["all_"]), ("--quick", options["quick"]), ("--markdown", options["markdown"])]
    given = [flag for flag, value in of_run if value and verb != "run"]
    given += ["--code"] if options["code"] and verb != "show" else []
    if given:
        hint = "for example thalweg lab run shuffling --quick, or thalweg lab show shuffling --code"
        raise BadInput("lab", "run and show have options of their own", got=", ".join(given), hint=hint)
    if options["markdown"] is not None and options["quick"]:
        rule = "takes experiments that ran in full"
        raise BadInput("--markdown", rule, got="--quick", hint="leave --quick out")
    wanted = 0 if verb == "" or options["all_"] else 1
    if len(rest) != wanted:
        rule = "takes one name" if wanted else "takes no name with --all"
        hint = "for example thalweg lab run shuffling; thalweg lab lists the names"
        raise BadInput(f"lab {verb}".strip(), rule, got=" ".join(rest) or None, hint=hint)


def _list(options: Options) -> int:
    known, found = experiments(), verdicts(options["out"])
    if options["json"]:
        names = ("name", "chapter", "claim", "source", "counts")
        rows = [{name: getattr(each, name) for name in names} for each in known]
        print_json([row | {"verdict": found.get(row["name"], {}).get("verdict")} for row in rows])
        return EXIT_DONE
    parts: list[RenderableType] = []
    for chapter, title in CHAPTERS.items():
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column()
        for each in (each for each in known if each.chapter == chapter):
            verdict = found.get(each.name)
            grid.add_row(each.name, each.claim)
            if verdict:
                colour = LEVELS[_COLOURS[Word(verdict["word"])]]
                grid.add_row("", Text(verdict["verdict"], style=colour))
        parts += [Text(title, style="bold"), grid, Text()]
    print_text(Group(*parts))
    say(f"{plural(len(known), 'experiment')}; {len(found)} with a verdict in {options['out']}")
    return EXIT_DONE


def _show(experiment: Experiment, options: Options) -> int:
    if options["code"]:
        say(code(experiment).rstrip())
        return EXIT_DONE
    known = verdicts(options["out"]).get(experiment.name)
    if options["json"]:
        print_json(known or {"experiment": experiment.name, "claim": experiment.claim, "verdict": None})
        return EXIT_DONE
    say(f"{experiment.claim}\n\nwhose claim  {experiment.source}\nreproduced   if {experiment.counts}")
    say(f"verdict      {known['verdict'] if known else 'not run yet'}")
    return EXIT_DONE


def _run(experiment: Experiment, options: Options) -> int:
    report = run_experiment(experiment, seeds=options["seeds"], quick=options["quick"])
    folder = options["out"] / experiment.name
    _write(report, folder)
    _write_markdown(options, experiment.name)
    if options["json"]:
        print_json(report.to_dict() | {"page": str(folder / PAGE)})
    elif not options["quiet"]:
        say("\n".join([f"{experiment.name}: {report.verdict}", experiment.claim, ""]))
        say("\n".join(check_line(check) for check in report.checks))
        say("".join(f"\n{note}" for note in report.notes) + f"\npage   {folder / PAGE}")
    return _exit(report)


def _run_all(options: Options) -> int:
    def starting(experiment: Experiment) -> None:
        if not options["quiet"] and sys.stderr.isatty():
            print(f"{experiment.name} ...", file=sys.stderr, flush=True)

    folder: Path = options["out"]
    codes, reports = [], []
    for report in run_all(seeds=options["seeds"], quick=options["quick"], starting=starting):
        _write(report, folder / report.experiment.name)
        codes.append(_exit(report))
        reports.append(report.to_dict())
        _write_markdown(options, report.experiment.name)  # now: what ends the command loses nothing
        if not options["json"] and not options["quiet"]:
            say(f"{report.experiment.name:24} {seconds(report.seconds):>8}  {report.verdict}")
            if codes[-1]:
                say("\n".join(check_line(check) for check in report.checks if check.arithmetic))
    index = write_book(folder)
    if options["json"]:
        print_json(reports)
    elif not options["quiet"]:
        spent = sum(report["cpu_seconds"] for report in reports)
        say(f"\n{plural(len(reports), 'experiment')}, {seconds(spent)} of CPU\nbook   {index}")
    return max(codes, default=EXIT_DONE)


def _exit(report: Report) -> int:
    """Return the exit code: arithmetic that does not hold is a failure, a claim that does not is a result."""
    return EXIT_DONE if report.arithmetic_holds else EXIT_FAILED


def _write_markdown(options: Options, only: str) -> None:
    folder: Path | None = options["markdown"]
    if folder is None:
        return
    try:
        write_markdown(options["out"], folder, only)
    except OSError as error:
        raise _refused("--markdown", folder, error) from error


def _write(report: Report, folder: Path) -> None:
    try:
        write(report, folder)
    except OSError as error:
        raise _refused("--out", folder, error) from error


def _refused(option: str, folder: Path, error: OSError) -> BadInput:
    rule, hint = "must be a folder that can be written", f"name another folder: {option} FOLDER"
    return BadInput(option, rule, got=str(folder), where=error.strerror or str(error), hint=hint)
