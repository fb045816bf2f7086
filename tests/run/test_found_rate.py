"""How a run's learning rate was found is saved with it: before its first step, at its end, on resuming."""

import json

import pytest

from tests.made import problem
from tests.run.test_resume import BASE, BreakOff, BrokenOff
from thalweg.core.errors import RunFolderError
from thalweg.run.folder.claim import reject_taken
from thalweg.run.folder.record import read
from thalweg.run.resume import resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train
from thalweg.run.verify import examine

FOUND = {
    "setting": "optimizer.lr",
    "value": 0.01,
    "low": 0.004,
    "high": float("inf"),
    "default": 0.001,
    "status": "found",
    "cost": {"steps": 90, "share": 0.09, "seconds": 1.5},
    "curve": [{"rate": 0.01, "loss": float("nan")}],
}
IN_RESULT = {name: FOUND[name] for name in FOUND if name != "curve"} | {"high": None}


def test_a_run_that_is_broken_off_keeps_its_finding(tmp_path):
    with pytest.raises(BrokenOff):
        train(problem(), BASE, keep=SaveOptions(tmp_path, every="7", finding=FOUND), progress=BreakOff(20))
    assert json.loads((tmp_path / "finding.json").read_text())["curve"] == [{"rate": 0.01, "loss": None}]
    run = resume(tmp_path, problem())
    assert run.result["finding"] == IN_RESULT and run.record.finding == read(tmp_path).finding
    assert read(tmp_path).result["finding"] == IN_RESULT and read(tmp_path).finding["cost"] == FOUND["cost"]
    assert not examine(tmp_path).damaged
    (tmp_path / "finding.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"finding\.json"):
        read(tmp_path)


def test_another_run_in_the_folder_leaves_no_finding_behind(tmp_path):
    train(problem(), BASE, keep=SaveOptions(tmp_path, finding=FOUND))
    with pytest.raises(RunFolderError, match="must not hold a run already"):
        reject_taken(tmp_path)
    run = train(problem(), BASE, keep=SaveOptions(tmp_path, force=True))
    assert not (tmp_path / "finding.json").exists() and read(tmp_path).finding == {}
    assert "finding" not in run.result
