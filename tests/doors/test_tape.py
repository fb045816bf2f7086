"""`thalweg tape` and `tw.tape` as users meet them."""

import json

import pytest

import thalweg as tw
from tests.doors.process import thalweg
from thalweg.core.errors import BadInput
from thalweg.doors.cli import tape as command

OPTIONS = {
    "example": 0,
    "born": False,
    "script": None,
    "data": None,
    "weights": "",
    "page": None,
    "force": False,
    "unverified": False,
    "device": None,
    "json": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run that diverged."""
    where = tmp_path_factory.mktemp("tape")
    tw.fit(
        "iris",
        "mlp:4",
        epochs=4,
        settings=["optimizer=sgd", "optimizer.lr=1e36"],
        keep=where / "run",
        progress=False,
    )
    return where


def test_a_diverged_run_offers_the_command_and_the_command_answers(folder):
    shown = thalweg("show", "run", at=folder)
    assert "thalweg tape run --born" in " ".join(shown.stdout.split())
    done = thalweg("tape", "run", "--born", "--json", "--page", "born.html", at=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["born"]["kind"] in ("NaN", "infinity") and facts["born"]["line"] > 0
    assert facts["replayed_from"] == 0 and facts["page"] == "born.html"
    assert "What stands out" in (folder / "born.html").read_text(encoding="utf-8")


def test_a_run_in_python_is_recorded_and_printed(folder, capsys):
    recorded = tw.tape(folder / "run", example=1)
    assert "example 1" in capsys.readouterr().out and recorded.about["example"] == 1
    with pytest.raises(BadInput, match="takes no inputs"):
        tw.tape(folder / "run", 2.0)


def test_a_function_is_printed_unless_told_otherwise(capsys):
    assert float(tw.tape(lambda x: x**3 + 5 * x, 2.0).gradients["x"]) == 17.0
    assert "dx = 17" in capsys.readouterr().out
    tw.tape(lambda x: x * x, 2.0, show=False)
    assert capsys.readouterr().out == ""


def test_a_script_is_recorded_by_itself(tmp_path, capsys):
    script = tmp_path / "own.py"
    script.write_text(
        "import numpy as np\nimport equinox as eqx\nimport thalweg as tw\n"
        "def problem():\n"
        "    return tw.Problem(lambda key: eqx.nn.Linear(2, 2, key=key), {'x': np.ones((8, 2), 'f4')},\n"
        "        objective=lambda model, batch: ((model.weight @ batch['x'].T) ** 2).mean())\n"
        "def recipe():\n    return tw.Recipe(batch_size=4, steps=1)\n"
    )
    assert command.tape(OPTIONS | {"run": script}) == 0
    assert "own.py:6" in capsys.readouterr().out
    with pytest.raises(BadInput, match="no run to replay"):
        command.tape(OPTIONS | {"run": script, "born": True})
    script.write_text("x = 1\n")
    with pytest.raises(BadInput, match=r"problem\(\) and recipe\(\)"):
        command.tape(OPTIONS | {"run": script})
