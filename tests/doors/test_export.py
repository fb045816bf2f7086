"""Exports: which file and format, and what is refused. `tests/contracts/test_exports.py` has every model."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jax import export as jax_export

import thalweg as tw
from tests.doors.process import called
from thalweg.doors.export import export as exports
from thalweg.doors.export.graph import differences, graph_of, sample_of
from thalweg.run.restore import trained_of

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((120, 3))
RECIPE = tw.Recipe(tw.AdamW(lr=1e-2), batch_size=16, steps=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a run on arrays of three classes."""
    place = tmp_path_factory.mktemp("export")
    data = tw.load((X, np.argmax(X, axis=1)))
    tw.train(tw.Problem(tw.MLP([None, 8, None]), data), RECIPE, keep=place / "run", progress=False)
    return place


def needs_flatbuffers() -> None:
    pytest.importorskip("flatbuffers", reason="needs flatbuffers: pip install 'thalweg[stablehlo]'")


def test_a_stablehlo_file_predicts_without_thalweg(folder):
    needs_flatbuffers()
    done = called("export", "run", "--to", "model.stablehlo", at=folder)
    assert done.returncode == 0 and "differs from the run by at most" in done.stdout
    function = jax_export.deserialize(bytearray((folder / "model.stablehlo").read_bytes())).call
    trained = tw.restore(folder / "run")
    for rows in (1, 7):  # any number
        given = function(trained.preparation.columns.inputs(X[:rows]))["probabilities"]
        expected = trained.predict(X[:rows])
        np.testing.assert_allclose(jax.device_get(given)[:, 1], expected["probability_1"], atol=1e-6)


def test_an_export_that_differs_is_not_written(folder, tmp_path, monkeypatch):
    needs_flatbuffers()
    format_ = exports.FORMATS["stablehlo"]

    def wrong(files, graph, sample):
        found = format_.run(files, graph, sample)
        return {
            name: values + 1e-3 * (np.arange(len(values)) == 50)[:, None] for name, values in found.items()
        }

    monkeypatch.setitem(exports.FORMATS, "stablehlo", replace(format_, run=wrong))
    with pytest.raises(tw.BadInput, match=r"a difference of 0\.001 in probabilities"):
        tw.export(folder / "run", tmp_path / "model.stablehlo")
    assert not list(tmp_path.iterdir())


def test_nan_and_other_shapes_are_differences(folder):
    graph = graph_of(trained_of(folder / "run"))
    expected = sample_of(graph).expected
    given = {"probabilities": expected["probabilities"].copy()}
    assert differences(graph, expected, given) == {"probabilities": 0.0}
    given["probabilities"][3, 1] = np.nan
    assert differences(graph, expected, given)["probabilities"] == np.inf
    assert (
        differences(graph, expected, {"probabilities": given["probabilities"][:9]})["probabilities"] == np.inf
    )


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (("--to", "model.pkl"), "must end in one of .onnx, .stablehlo, .py"),
        (("--to", "model.pkl", "--format", "pickle"), "the format must be a known one"),
        (("--to", "nowhere/model.onnx"), "must be in an existing folder"),
        (("--to", "taken.stablehlo"), "must not exist already"),
    ],
)
def test_files_that_cannot_be_written_are_refused(folder, to, words):
    (folder / "taken.stablehlo").write_text("mine")
    done = called("export", "run", *to, at=folder)
    assert done.returncode == 2 and words in done.stderr and "hint: " in done.stderr
    assert (folder / "taken.stablehlo").read_text() == "mine"


def test_a_model_of_the_users_own_has_no_source_for_pytorch():
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'thalweg[torch]'")
    problem = tw.Problem(lambda key: tw.MLP([3, 4, 3])(key), tw.load((X, np.argmax(X, axis=1))))
    run = tw.train(problem, RECIPE, progress=False)
    with pytest.raises(tw.ModelError, match="models of the catalogue"):
        tw.export(run, "model.py")
