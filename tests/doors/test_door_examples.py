"""Every script in `examples/doors/`, against the packages that it is for."""

from pathlib import Path

import pytest

from tests.test_examples import loaded

FOLDER = Path(__file__).parents[2] / "examples" / "doors"
# By script: the module that it needs besides, a short form, and what its answer must be.
SCRIPTS = {
    "sklearn_search": (None, {"epochs": 5}, lambda accuracy: accuracy > 0.9),
    "images_in_archives": (None, {"epochs": 2}, lambda accuracy: accuracy > 0.6),
    "serve_and_ask": (None, {"epochs": 10}, lambda rows: [row["prediction"] for row in rows][::2] == [0, 2]),
    "dask_sweep": ("distributed", {}, lambda losses: losses[0] > losses[1] > losses[2]),
    "huggingface_images": (
        "datasets",
        {"epochs": 2},
        lambda run: run.problem.data.preparation.classes[7] == "seven",
    ),
    "onnx_runtime": ("onnxruntime", {"epochs": 5}, lambda difference: difference < 1e-4),
    "pytorch_both_ways": ("torch", {"epochs": 2}, lambda difference: difference < 1e-4),
}
# Read, and run with PyTorch and onnxruntime, by the tests of their doors.
OTHERS = {"diagnose_pytorch", "onnx_reader"}
LONG = {"dask_sweep"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in SCRIPTS]
)
def test_a_script_does_what_it_says(name, tmp_path, monkeypatch):
    needed, short, holds = SCRIPTS[name]
    if needed is not None:
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    monkeypatch.chdir(tmp_path)  # runs are written here
    assert holds(loaded(FOLDER / f"{name}.py").main(**short))


def test_every_script_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*SCRIPTS, *OTHERS}
