"""`thalweg resume`, `check` and `fit --resume auto`, as processes."""

import json
import re

import pytest

from tests.doors.process import thalweg
from thalweg.run.folder.record import read


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    at = tmp_path_factory.mktemp("resume")
    done = thalweg("fit", "digits", "--epochs", 2, "--checkpoint-every", 20, "--out", "run", "-q", at=at)
    assert done.returncode == 0, done.stderr
    return at


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "digits", "--checkpoint-every", "0"], "must be a number of updates, or a time"),
        (["fit", "digits", "--checkpoint-every", "soon"], "must be a number of updates, or a time"),
        (["fit", "digits", "--resume", "auto"], "needs the folder of the run"),
        (["fit", "digits", "--resume", "maybe", "--out", "x"], "must be auto"),
        (["fit", "digits", "--epochs", "3", "--out", "run", "--resume", "auto"], "epochs = 3.*it was 2"),
        (["resume", "nowhere"], "must hold a run"),
        (["resume", "run", "--epochs", "3", "--steps", "9"], "epochs or steps, not both"),
        (["resume", "run", "--epochs", "3"], "say how it continues"),
        (["resume", "run", "--set", "optimizer.lr=1e-4"], "needs a folder of its own"),
        (["resume", "run", "--at", "1", "--out", "fork"], "must have a sound checkpoint"),
        (["check", "nowhere"], "must hold a run"),
    ],
)
def test_what_cannot_be_is_refused_with_exit_code_2(finished, arguments, said):
    done = thalweg(*arguments, at=finished)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(said, " ".join(done.stderr.split())), done.stderr


def test_a_finished_run_is_extended_forked_and_checked(finished):
    before = (finished / "run" / "final.safetensors").read_bytes()
    oldest = min(int(name.name[5:15]) for name in (finished / "run" / "checkpoints").iterdir())
    fork = ("resume", "run", "--at", oldest + 1, "--set", "optimizer.lr=1e-5", "--out", "fork", "--json")
    done = thalweg(*fork, at=finished)
    assert done.returncode == 0 and json.loads(done.stdout)["epochs"] == 2, done.stderr
    assert f"forking at step {oldest}," in done.stderr
    assert (finished / "run" / "final.safetensors").read_bytes() == before
    done = thalweg("resume", "run", "--epochs", 3, "--schedule", "stretch", "-q", at=finished)
    assert done.returncode == 0 and read(finished / "run").result["epochs"] == 3, done.stderr
    again = thalweg("fit", "digits", "--epochs", 3, "--out", "run", "--resume", "auto", "--json", at=finished)
    assert again.returncode == 0 and json.loads(again.stdout)["stopped"] == "epochs", again.stderr
    assert thalweg("check", "run", at=finished).returncode == 0
    damaged = bytearray((finished / "fork" / "final.safetensors").read_bytes())
    damaged[-1] ^= 1
    (finished / "fork" / "final.safetensors").write_bytes(damaged)
    found = thalweg("check", "fork", at=finished)
    assert found.returncode == 3 and "DAMAGED final.safetensors" in found.stdout
