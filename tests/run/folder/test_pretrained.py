"""Weights of other programs to start from: exported modules, maps of names, state_dicts; what is refused."""

import json
import pickle

import equinox as eqx
import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import thalweg as tw
from thalweg.core.errors import BadInput, MissingExtra, ModelError, RunFolderError
from thalweg.core.tree import paths
from thalweg.doors.export.torch_module import WRITERS, source_of
from thalweg.problem.models import parse
from thalweg.run.folder import pretrained
from thalweg.run.folder.pretrained import InitialWeights, Pretrained
from thalweg.run.spec import RunSpec

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(24, 5)).astype(np.float32), np.arange(24) % 3
PIXELS = RANDOM.integers(0, 255, (24, 16, 16, 3)).astype(np.uint8), np.arange(24) % 3
SEQUENCES = RANDOM.normal(size=(24, 6, 4)).astype(np.float32), np.arange(24) % 3
MODELS = {
    "mlp:8,6": ROWS,
    "mlp:8,8,normalisation=batch": ROWS,
    "linear": ROWS,
    "cnn": PIXELS,
    "cnn:normalisation=layer": PIXELS,
    "resnet:8": PIXELS,
    "vgg:8": PIXELS,
    "rnn:8": SEQUENCES,
    "lstm:8,layers=2": SEQUENCES,
    "gru:8,layers=2": SEQUENCES,
    "gpt:layers=2,heads=2,width=8": None,
}


def problem_of(model, tmp_path):
    data = MODELS[model]
    if data is None:
        path = tmp_path / "words.txt"
        path.write_text("the quick brown fox jumps over the lazy dog; " * 20)
        return tw.Problem(parse(model), tw.load(path, context=12))
    return tw.Problem(parse(model), tw.load(data, test=0.0, validation=0.0))


def drawn(tree):
    """Return a tree of shapes filled with numbers."""

    def of(leaf):
        is_float = isinstance(leaf, jax.ShapeDtypeStruct) and np.issubdtype(leaf.dtype, np.floating)
        return RANDOM.normal(size=leaf.shape).astype(np.float32) if is_float else leaf

    return jax.tree.map(of, tree)


def exported(problem, params):
    """Return the `state_dict` that the export writes for these parameters."""
    shapes = problem.shapes
    architecture = {"name": problem.model.name}
    return source_of(architecture, eqx.combine(params, shapes.fixed), drawn(shapes.model_state)).state


def by_path(tree):
    return dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_an_exported_module_is_read_back(model, tmp_path):
    problem = problem_of(model, tmp_path)
    params = drawn(problem.shapes.params)
    state = {name: np.ascontiguousarray(each) for name, each in exported(problem, params).items()}
    save_file(state, tmp_path / "module.safetensors")
    start = InitialWeights(tmp_path / "module.safetensors", problem.shapes.params)
    assert start.fresh == []
    assert all("running" in name or "tracked" in name for name in start.unused), start.unused
    found = by_path(start(jax.tree.map(np.zeros_like, params)))
    for name, values in by_path(params).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_every_architecture_with_an_export_is_in_the_table():
    assert {model.split(":")[0] for model in MODELS} == set(WRITERS)


@pytest.fixture
def mlp():
    return tw.Problem(tw.MLP([5, 4, 3]), tw.load(ROWS, test=0.0, validation=0.0))


@pytest.fixture
def foreign(tmp_path):
    arrays = {
        "encoder.0.w": RANDOM.normal(size=(4, 5)).astype(np.float32),
        "encoder.1.w": RANDOM.normal(size=(3, 4)).astype(np.float32),
        "turned": RANDOM.normal(size=(5, 4)).astype(np.float32),
        "bias": RANDOM.normal(size=4).astype(np.float32),
    }
    save_file(arrays, tmp_path / "foreign.safetensors")
    return tmp_path / "foreign.safetensors", arrays


NAMES = {"layers.*.weight": "encoder.*.w", "layers.0.bias": "bias"}


def test_a_map_of_names_is_used_recorded_and_said(mlp, foreign, tmp_path, capsys):
    path, arrays = foreign
    table = tmp_path / "names.toml"
    table.write_text('"layers.*.weight" = "encoder.*.w"\n[layers.0]\nbias = "bias"\n')
    recipe = tw.Recipe(tw.SGD(lr=0.0), batch_size="full", steps=1)
    run = tw.train(mlp, recipe, init=Pretrained(path, table), keep=tmp_path / "run", progress=True)
    found = by_path(run.params)
    np.testing.assert_array_equal(found["layers.0.weight"], arrays["encoder.0.w"])
    np.testing.assert_array_equal(found["layers.1.weight"], arrays["encoder.1.w"])
    np.testing.assert_array_equal(found["layers.0.bias"], arrays["bias"])
    origin = json.loads((tmp_path / "run" / "run.json").read_text())["origin"]
    assert origin["init_names"] == NAMES
    said = capsys.readouterr().err
    assert "layers.1.bias" in said and "does not have: turned" in said
    assert RunSpec.from_dict(origin, "run.json").init_names == NAMES


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            {"layers.0.weight": "turned"},
            r"layers.0.weight needs .*\(4, 5\); got turned of shape \(5, 4\)(?s:.*)transposed",
        ),
        ({"layers.1.bias": "bias"}, r"layers.1.bias needs .*\(3,\); got bias of shape \(4,\)"),
        (
            {"layer.0.weight": "encoder.0.w"},
            r"parameters of the model; got layer.0.weight(?s:.*)layers.0.weight",
        ),
        ({"layers.0.weight": "encoder.0.v"}, r"arrays of the file \(for layers.0.weight\)(?s:.*)encoder.0.w"),
        ({"layers.*.weight": "encoder.w"}, r"as many \* on both sides"),
        ({"layers.0.weight": 3}, "names"),
        ("missing.toml", "readable TOML or JSON"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(mlp, foreign, names, words):
    recipe = tw.Recipe(batch_size="full", steps=1)
    with pytest.raises(BadInput, match=words):
        tw.train(mlp, recipe, init=Pretrained(foreign[0], names), progress=False)


def test_a_file_that_has_nothing_of_the_model_is_refused(mlp, tmp_path):
    save_file({"other": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="must share layers"):
        InitialWeights(tmp_path / "other.safetensors", mlp.shapes.params)
    with pytest.raises(RunFolderError, match="the weights must exist"):
        InitialWeights(tmp_path / "absent.safetensors", mlp.shapes.params)


def test_kernels_of_a_file_that_says_it_is_pytorchs_are_turned(tmp_path):
    problem = problem_of("cnn", tmp_path)
    kernel = by_path(drawn(problem.shapes.params))["convolutions.0.weight"]
    names = {"convolutions.0.weight": "k"}
    for metadata, stored in (({"format": "pt"}, kernel.transpose(0, 3, 1, 2)), (None, kernel)):
        save_file({"k": np.ascontiguousarray(stored)}, tmp_path / "k.safetensors", metadata)
        start = InitialWeights(tmp_path / "k.safetensors", problem.shapes.params, names)
        found = by_path(
            start(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), problem.shapes.params))
        )
        np.testing.assert_array_equal(found["convolutions.0.weight"], kernel)


def test_without_pytorch_a_state_dict_is_refused_with_the_extra(mlp, tmp_path, monkeypatch):
    def absent(who, name, extra):
        raise MissingExtra(who, f"needs {name}", got=f"no {name}", hint=f"pip install 'thalweg[{extra}]'")

    monkeypatch.setattr(pretrained, "extra", absent)
    with pytest.raises(MissingExtra, match=r"thalweg\[torch\]"):
        InitialWeights(tmp_path / "model.pt", mlp.shapes.params)


class Harmful:
    def __reduce__(self):
        return (print, ("this must not be printed",))


def test_a_state_dict_is_loaded_without_running_what_it_holds(mlp, tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    path = tmp_path / "model.pt"
    params = drawn(mlp.shapes.params)
    state = {name: torch.from_numpy(np.array(each)) for name, each in exported(mlp, params).items()}
    for held in (state, {"epoch": 3, "state_dict": state}):
        torch.save(held, path)
        found = by_path(InitialWeights(path, mlp.shapes.params)(params))
        np.testing.assert_array_equal(found["layers.1.weight"], by_path(params)["layers.1.weight"])
    for harmful in ({"head.weight": Harmful()}, Harmful()):
        torch.save(harmful, path)
        with pytest.raises(ModelError, match="must be a state_dict"):
            InitialWeights(path, mlp.shapes.params)
        path.write_bytes(pickle.dumps(harmful))
        with pytest.raises(ModelError, match="must be a state_dict"):
            InitialWeights(path, mlp.shapes.params)
    assert "must not be printed" not in capsys.readouterr().out
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match=r"must be a state_dict.*list"):
        InitialWeights(path, mlp.shapes.params)


def test_a_trained_recurrent_module_gives_what_pytorch_computes(tmp_path):
    """PyTorch trains both biases; their sums, and a GRU's inner bias, are taken over."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    problem = problem_of("gru:8,layers=2", tmp_path)
    params = drawn(problem.shapes.params)
    state = {name: np.array(each) for name, each in exported(problem, params).items()}
    state["cells.bias_hh_l1"] += 1.0
    torch.save({name: torch.from_numpy(each) for name, each in state.items()}, tmp_path / "model.pt")
    module = eqx.combine(
        InitialWeights(tmp_path / "model.pt", problem.shapes.params)(params), problem.shapes.fixed
    )
    cells = torch.nn.GRU(4, 8, num_layers=2, batch_first=True)
    own = {name.removeprefix("cells."): torch.from_numpy(v) for name, v in state.items() if "cells" in name}
    cells.load_state_dict(own)
    with torch.no_grad():
        expected = cells(torch.from_numpy(SEQUENCES[0]))[0][:, -1].numpy()
    expected = expected @ state["head.weight"].T + state["head.bias"]
    found = jax.vmap(lambda x: module(x))(SEQUENCES[0])
    np.testing.assert_allclose(found, expected, atol=2e-5)
