"""`thalweg check`: what of a run folder is sound, file by file."""

from pathlib import Path
from typing import Any

from thalweg.doors.cli.codes import DONE, FAILED
from thalweg.doors.cli.output import print_json
from thalweg.run.verify import Inspection, examine

_WORDS = {True: "sound", False: "DAMAGED", None: "-"}


def run(folder: Path, json: bool) -> int:
    """Verify every byte that a checksum was kept of; return 3 when something is damaged."""
    found = examine(folder)
    if json:
        print_json(_plain(found))
    else:
        for finding in found.files:
            print(f"{_WORDS[finding.sound]:8}{finding.name}{f': {finding.why}' if finding.why else ''}")
        print("\n" + "\n".join(found.summary))
    return FAILED if found.damaged else DONE


def _plain(found: Inspection) -> dict[str, Any]:
    return {
        "sound": not found.damaged,
        "ended": found.ended,
        "writer": None if found.writer is None else found.writer.get("pid"),
        "resumes_at": found.resumes_at,
        "findings": [finding._asdict() for finding in found.files],
        "summary": found.summary,
    }
