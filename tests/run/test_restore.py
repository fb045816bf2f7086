"""A run folder whose problem.json does not say how data are prepared is refused."""

import json
import shutil
from pathlib import Path

import pytest

from thalweg.core.errors import ThalwegError
from thalweg.run.restore import restore

OLD = Path(__file__).parents[1] / "data" / "old_runs" / "fit"


def _with_columns(facts, **columns):
    prepared = facts["data"]["preparation"]
    changed = prepared | {"columns": prepared["columns"] | columns}
    return facts | {"data": facts["data"] | {"preparation": changed}}


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts | {"data": None},
        lambda facts: {name: value for name, value in facts.items() if name != "data"},
        lambda facts: facts | {"data": facts["data"] | {"preparation": []}},
        lambda facts: _with_columns(facts, rules=[[]]),
        lambda facts: _with_columns(facts, rules=[{"kind": "number", "column": "a", "written": []}]),
    ],
)
def test_a_damaged_description_of_the_data_is_refused(change, tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()  # whose checksums would tell
    restore(tmp_path / "run", unverified=True)
    path = tmp_path / "run" / "problem.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ThalwegError, match=r"prepared|what a run writes|must be complete"):
        restore(tmp_path / "run", unverified=True)
