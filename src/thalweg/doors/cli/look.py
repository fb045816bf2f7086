"""`thalweg show`, `compare` and `report`: reading runs."""

from pathlib import Path

from thalweg.doors.cli.codes import DONE
from thalweg.doors.cli.output import print_json, print_text, write_report
from thalweg.insight import compare as comparing
from thalweg.run.record import read
from thalweg.view import text


def show(folder: Path, as_json: bool) -> int:
    """Print what was trained, how, and what came of it."""
    record = read(folder)
    if as_json:
        print_json(record.result)
    else:
        print_text(text.show(record))
    return DONE


def compare(first: Path, second: Path, as_json: bool) -> int:
    """Print what differs between two runs, and what came of it."""
    found = comparing.compare(read(first), read(second))
    if as_json:
        print_json(found)
    else:
        print_text(text.compare(found))
    return DONE


def report(folder: Path, out: Path | None) -> int:
    """Write the report and print where it lies."""
    print(write_report(read(folder), out))
    return DONE
