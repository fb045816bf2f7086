"""What the command line tells of a sweep: the ranked table or one JSON object, and where the report lies."""

from thalweg.core.stop_reason import StopReason
from thalweg.doors.cli.codes import DONE, FAILED, INTERRUPTED
from thalweg.doors.cli.output import print_json, print_text, write_sweep_report
from thalweg.insight.ranking import Ranking, as_dict, ranking_of
from thalweg.run.folder.sweep_record import Sweep, read
from thalweg.run.run import Runs
from thalweg.view.sweep import text


def told(runs: Runs, json: bool, quiet: bool) -> int:
    """Write the report of a sweep that has just ended, and print what came of it; return the exit code."""
    ranking = ranking_of(runs)
    report = None if runs.folder is None else write_sweep_report(read(runs.folder), ranking)
    if json:
        print_json(as_dict(runs.result, ranking))
    elif not quiet:
        print_text(text.show(ranking, runs.result))
        print("" if report is None else f"report  {report}")
    if StopReason.INTERRUPTED in runs.result["stopped"]:
        return INTERRUPTED
    return DONE if ranking.best is not None else FAILED


def show(sweep: Sweep, json: bool) -> int:
    """Print what came of a sweep that lies on disk."""
    ranking: Ranking = ranking_of(sweep)
    if json:
        print_json(as_dict(sweep.result, ranking))
    else:
        print_text(text.show(ranking, sweep.result))
    return DONE
