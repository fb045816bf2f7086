"""`thalweg show`, `compare` and `report`: reading runs. Loads no JAX."""

import json
import sys
from pathlib import Path

from thalweg.doors.cli.app import DONE
from thalweg.insight import compare as comparing
from thalweg.run.record import read
from thalweg.view import text
from thalweg.view.report import write_report


def show(folder: Path, as_json: bool) -> int:
    """Print what was trained, how, and what came of it."""
    record = read(folder)
    if as_json:
        json.dump(record.result, sys.stdout)
        sys.stdout.write("\n")
    else:
        print(text.show(record))
    return DONE


def compare(first: Path, second: Path, as_json: bool) -> int:
    """Print what differs between two runs."""
    found = comparing.compare(read(first), read(second))
    if as_json:
        json.dump(found.to_dict(), sys.stdout)
        sys.stdout.write("\n")
    else:
        print(text.compare(found))
    return DONE


def report(folder: Path, out: Path | None) -> int:
    """Write the report and print where it lies."""
    print(write_report(read(folder), out))
    return DONE
