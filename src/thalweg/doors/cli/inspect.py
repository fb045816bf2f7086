"""`thalweg data`, `show`, `compare`, `report` and `check`: read data or a folder, and train nothing."""

from pathlib import Path

from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED
from thalweg.doors.cli.arguments import load_options
from thalweg.doors.cli.device import Options
from thalweg.doors.cli.outfile import check_out, is_page_of, write_out
from thalweg.doors.cli.output import (
    draw_finding,
    print_finding,
    print_json,
    print_sweep,
    print_text,
    write_report,
    write_sweep_report,
)
from thalweg.insight import compare as comparing
from thalweg.insight.finder import finding_io
from thalweg.insight.finder.finding_io import is_finding
from thalweg.insight.ranking import ranking_of
from thalweg.problem.data.understanding import understand
from thalweg.run.folder.record import read
from thalweg.run.folder.sweep_record import is_sweep
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.verify import examine
from thalweg.view import compare as compare_view
from thalweg.view import data as data_view
from thalweg.view import text
from thalweg.view.terminal import say, terminal

_WORDS = {True: "sound", False: "DAMAGED", None: "-"}


def show(folder: Path, as_json: bool, unverified: bool = False) -> int:
    """Print what was trained, how, and with what result."""
    if is_finding(folder):
        print_finding(finding_io.read(folder), as_json)
    elif is_sweep(folder):
        sweep = read_sweep(folder, unverified=unverified)
        print_sweep(sweep.result, ranking_of(sweep), as_json)
    else:
        record = read(folder, unverified=unverified)
        if as_json:
            print_json(record.result)
        else:
            print_text(text.show(record))
    return EXIT_DONE


def compare(
    first: Path,
    second: Path,
    page: Path | None,
    as_json: bool,
    unverified: bool = False,
    force: bool = False,
) -> int:
    """Print how two runs differ in settings and in results, and draw their curves."""
    if page is not None:
        check_out(page, "--page", force=force, inputs=(first, second))
    records = [read(folder, unverified=unverified) for folder in (first, second)]
    comparison = comparing.compare(*records)
    if page is not None:
        write_out(page, compare_view.render(comparison, *records).encode(), "--page", force=force)
    if as_json:
        print_json(comparison)
    else:
        print_text(text.compare(comparison, records))
        if page is not None:
            print(f"\npage: {page}")
    return EXIT_DONE


def report(folder: Path, out: Path | None, force: bool = False, unverified: bool = False) -> int:
    """Write the report and print its path."""
    if out is not None and not is_page_of(out, folder):
        check_out(out, force=force)
    if is_finding(folder):
        say(str(draw_finding(finding_io.read(folder), folder, out)))
    elif is_sweep(folder):
        sweep = read_sweep(folder, unverified=unverified)
        say(str(write_sweep_report(sweep, ranking_of(sweep), out)))
    else:
        say(str(write_report(read(folder, unverified=unverified), out)))
    return EXIT_DONE


def check(folder: Path, as_json: bool) -> int:
    """Verify every byte that has a checksum; return 3 where something is damaged or unverified."""
    inspection = examine(folder)
    if as_json:
        print_json(
            {
                "sound": inspection.sound,
                "ended": inspection.ended,
                "writer": None if inspection.writer is None else inspection.writer.get("pid"),
                "resumes_at": inspection.resumes_at,
                "findings": [file._asdict() for file in inspection.files],
                "summary": inspection.summary,
            }
        )
    else:
        for file in inspection.files:
            say(f"{_WORDS[file.sound]:8}{file.name}{f': {file.why}' if file.why else ''}")
        say("\n" + "\n".join(inspection.summary))
    return EXIT_DONE if inspection.sound else EXIT_FAILED


def data(options: Options) -> int:
    """Print what is understood, and write the page if asked; return the exit code."""
    page: Path | None = options["page"]
    given = options["data"] if isinstance(options["data"], list) else [options["data"]]
    if page is not None:
        check_out(page, "--page", force=options["force"], inputs=(*given, options["test"]))
    found = understand(options["data"], **load_options(options))
    if page is not None:
        write_out(page, data_view.render(found).encode(), "--page", force=options["force"])
    if options["json"]:
        print_json(found.to_dict() | {"page": None if page is None else str(page)})
    else:
        terminal(highlight=False, soft_wrap=False).print(data_view.show(found))
        if page is not None:
            say(f"\npage: {page}")
    return EXIT_DONE
