"""Wrong types at every public door: only our own errors come out, each with a hint.

Each parameter of each public function, class and method is given every value of `WRONG` in turn, the others
being right. A value that is right by chance may work. A wrong number of arguments is Python's own TypeError,
and so is a wrong index of a sequence.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest

import thalweg as tw
from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput

INPUTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
TARGETS = np.arange(40) % 2
WRONG: dict[str, Any] = {
    "None": None,
    "3": 3,
    "-1": -1,
    "0.5": 0.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "huge": 10**30,
    "True": True,
    "empty text": "",
    "nonsense": "nonsense",
    "a=b": "a=b",
    "null byte": "a\0b",
    "bytes": b"x",
    "empty list": [],
    "empty tuple": (),
    "empty dict": {},
    "dict of numbers": {1: 2},
    "list of None": [None],
    "object": object(),
    "function": lambda *_: None,
    "class": int,
    "module": np,
    "set": {1, "a"},
    "array of objects": np.array([None, object()], object),
    "array of text": np.array(["a", "b"]),
    "array of one": np.array(3.0),
    "array of nothing": np.zeros((0, 3)),
    "array of complex": np.ones(4, complex),
    "array of dates": np.array(["2020-01-01"], "M8[D]"),
    "array of records": np.zeros(2, [("a", int)]),
    "array of five axes": np.zeros((1, 1, 1, 1, 1)),
    "int64": np.int64(3),
    "frame": pl.DataFrame({"a": [1, 2]}),
    "series": pl.Series([1, 2]),
    "missing path": Path("no/where"),
    "directory": Path("."),
    "jax array": jnp.ones(3),
    "bfloat16": jnp.ones(3, jnp.bfloat16),
    "jax key": jax.random.key(0),
}

# Parameters that are checked elsewhere, or that would train for minutes before they end.
LEFT_OUT = {
    "progress",  # listens to events; what it must have is checked by the run
    "finding",
}
# Results: made by the library, and public for annotations only.
RESULTS = {
    *("Data", "Run", "Runs", "Record", "Trained", "Ranking", "SearchResult", "RangeTest", "BatchFinding"),
    *("LearningRateFinding", "Rows", "Sequences", "SeriesWindows", "Windows", "Preparation", "Note"),
    *("Understanding", "Diagnosis", "Fitting", "GradCheck", "Landscape", "Line", "Tape", "Cost", "Curvature"),
    *("Evaluation", "Export", "Race", "Audit", "Best"),
    *("Optimizer", "Schedule", "Architecture", "Loss", "Metric"),  # bases
}


@cache
def made() -> SimpleNamespace:
    """Return right arguments: a problem of 40 rows that trains for one epoch, and what comes of it."""
    data = tw.load((INPUTS, TARGETS))
    problem = tw.Problem(tw.LinearModel(), data)
    recipe = tw.Recipe(epochs=1, batch_size=8, seconds=0.2)
    run = tw.train(problem, recipe, keep="run")
    runs = tw.train(problem, recipe.vary(seed=[0, 1]))
    return SimpleNamespace(
        data=data,
        problem=problem,
        recipe=recipe,
        run=run,
        runs=runs,
        record=tw.read("run"),
        trained=tw.restore("run"),
    )


def doors() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return every public callable with right arguments, by name."""
    m = made()
    trains = {"problem": m.problem, "recipe": m.recipe}
    functions: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "Problem": (tw.Problem, {"model": tw.LinearModel(), "data": m.data}),
        "train": (tw.train, trains),
        "stream_train": (tw.stream_train, trains),
        "plan": (tw.plan, {"problem": m.problem, "recipes": [m.recipe]}),
        "fit": (tw.fit, {"source": m.data, "model": tw.LinearModel(), "recipe": m.recipe}),
        "find_lr": (tw.find_lr, trains),
        "find_batch_size": (tw.find_batch_size, trains),
        "range_test": (tw.range_test, trains),
        "search": (tw.search, trains | {"space": {"lr": (1e-3, 1e-2)}, "budget": tw.Budget(2, 2)}),
        # Too few: what is wrong is refused first.
        "best": (tw.best, {"source": m.data, "model": tw.LinearModel(), "recipe": m.recipe, "budget": 1}),
        "race": (tw.race, trains | {"optimizers": ["adamw"]}),  # too few: what is wrong is refused first
        "resume": (tw.resume, {"folder": "run"}),
        "audit": (tw.audit, {"subject": "run"}),
        "executor": (tw.executor, {"name": "processes:1"}),
        "read": (tw.read, {"folder": "run"}),
        "restore": (tw.restore, {"folder": "run"}),
        "compare": (tw.compare, {"first": m.record, "second": m.record}),
        "ranking_of": (tw.ranking_of, {"sweep": m.runs}),
        "load": (lambda source, options=None: tw.load(source, options), {"source": (INPUTS, TARGETS)}),
        "understand": (lambda source, options=None: tw.understand(source, options), {"source": "iris"}),
        "stream": (tw.stream, {"source": [(INPUTS, TARGETS)], "classes": 2}),
        "default_recipe": (tw.default_recipe, {"task": "classification", "examples": 40}),
        "default_model": (
            tw.default_model,
            {"task": "classification", "input_shape": (3,), "count": 40, "outputs": 2},
        ),
        "adapt": (
            tw.adapt,
            {"init": lambda key: {"w": jnp.zeros(2)}, "apply": lambda params, x: params["w"]},
        ),
        "Custom": (lambda factory, rate: tw.Custom(factory, rate), {"factory": optax.sgd, "rate": 0.1}),
        "CustomSchedule": (
            lambda function: tw.CustomSchedule(function),
            {"function": lambda step, total: 1.0},
        ),
        "plot": (tw.plot, {"schedule": "cosine"}),
        "surface": (tw.surface, {"name": "bowl"}),
        "tape": (lambda function, x: tw.tape(function, x), {"function": jnp.sum, "x": np.ones(2)}),
        "cost": (lambda problem, recipe: tw.cost(problem, recipe), trains),
        "fit_in": (tw.fit_in, trains | {"budget": 10**9}),
        "diagnose": (
            lambda problem, recipe, budget, seeds: tw.diagnose(
                problem, recipe, budget=budget, seeds=seeds, quick=True
            ),
            trains | {"budget": 0.0, "seeds": 3},
        ),
        # Without PyTorch, or with a loader of something else, what is wrong is refused first.
        "diagnose_torch": (
            lambda loader, epochs, budget: tw.diagnose_torch(
                tw.LinearModel, optax.sgd, loader, jnp.sum, epochs=epochs, budget=budget
            ),
            {"loader": None, "epochs": 1, "budget": 3.0},
        ),
        "landscape": (lambda run: tw.landscape(run), {"run": m.run}),
        "curvature": (lambda run, top: tw.curvature(run, top=top), {"run": m.run, "top": 1}),
        "gradcheck": (
            lambda function, x, tolerance: tw.gradcheck(function, x, tolerance=tolerance),
            {"function": lambda x: (x**2).sum(), "x": np.ones(2), "tolerance": 1e-4},
        ),
        "LaneSearchCV": (
            lambda grid, n_iter: tw.LaneSearchCV(None, grid, n_iter=n_iter),
            {"grid": {"lr": [0.1]}, "n_iter": 2},
        ),
        "LaneHalvingSearchCV": (
            lambda grid, factor: tw.LaneHalvingSearchCV(None, grid, factor=factor),
            {"grid": {"lr": [0.1]}, "factor": 3},
        ),
        "Pretrained": (tw.Pretrained, {"path": "weights.safetensors"}),
        "examples": (tw.examples, {"tree": {"x": INPUTS}}),
        "load(x, y)": (lambda x, y: tw.load((x, y)), {"x": INPUTS, "y": TARGETS}),
        "load(frame, y)": (lambda y: tw.load((pl.DataFrame({"a": INPUTS[:, 0]}), y)), {"y": TARGETS}),
        "load(series)": (lambda x: tw.load(x, window=2), {"x": INPUTS[:, 0]}),
        "load(test)": (lambda x, y: tw.load((INPUTS, TARGETS), test=(x, y)), {"x": INPUTS, "y": TARGETS}),
        "Recipe.length": (m.recipe.length, {"epoch_steps": 4}),
        "Recipe.batch": (m.recipe.batch, {"examples": 40}),
        "Recipe.shortened": (m.recipe.shortened, {"steps": 2, "total": 10}),
        "Recipe.from_dict": (m.recipe.from_dict, {"settings": {}}),
        "Recipe.vary": (
            lambda lr, optimizer: m.recipe.vary(lr=lr, optimizer=optimizer),
            {"lr": [1.0], "optimizer": ["adamw"]},
        ),
        "Recipe.vary by path": (lambda values: m.recipe.vary(values), {"values": {"lr": [1.0]}}),
        "Recipe.vary_together": (lambda values: m.recipe.vary_together(values), {"values": {"lr": [1.0]}}),
        "Recipe.sample": (m.recipe.sample, {"count": 2, "space": {"lr": (1e-3, 1e-2)}}),
        "Recipe.sample a range": (lambda lr: m.recipe.sample(2, {"lr": lr}), {"lr": (1e-3, 1e-2)}),
        "Range.spaced": (tw.Range(1e-3, 1e-2).spaced, {"count": 3}),
        "Range.at": (tw.Range(1e-3, 1e-2).at, {"shares": np.zeros(2)}),
        "MLP.fitted": (tw.MLP([None, 3, None]).fitted, {"input_shape": (3,), "outputs": 2}),
        "Run.outputs": (m.run.outputs, {"inputs": INPUTS}),
        "Run.predict": (m.run.predict, {"raw": INPUTS}),
        "Trained.answers": (m.trained.answers, {"source": INPUTS}),
        "Trained.predict": (
            lambda source, keep: m.trained.predict(source, keep=keep),
            {"source": INPUTS, "keep": ()},
        ),
        "evaluate": (tw.evaluate, {"run": m.trained, "source": (INPUTS, TARGETS)}),
        "export": (tw.export, {"run": m.trained, "path": "model.stablehlo", "force": True}),
    }
    for name in dir(tw):
        kind = getattr(tw, name)
        if inspect.isclass(kind) and not issubclass(kind, Exception) and name not in RESULTS | set(functions):
            functions[name] = (kind, {"low": 1e-3, "high": 1e-2} if kind is tw.Range else {})
    table = pl.DataFrame({"a": INPUTS[:, 0], "b": TARGETS, "c": ["u", "v"] * 20})
    options = {name: field.default for name, field in tw.LoadOptions.__dataclass_fields__.items()}
    functions["load(**options)"] = (
        lambda **given: tw.load(table, **{name: given.get(name, options[name]) for name in options}),
        {"target": "b"},
    )
    return functions


# `huge` as a length of a run, or a budget, is right: it would train for ever.
FOREVER = {
    *(("find_lr", "share"), ("find_batch_size", "share"), ("Budget", "trials"), ("search", "budget")),
    ("best", "budget"),
}
# These search for seconds, or minutes, where an argument is right by chance: other wrong values are tried.
SEARCHES = {"find_lr", "find_batch_size", "range_test", "search"}


def parameters(name: str, call: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters to try."""
    if name == "load(**options)":
        return list(tw.LoadOptions.__dataclass_fields__)
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    given = inspect.signature(call).parameters.values()
    return [each.name for each in given if each.kind not in kinds and each.name not in LEFT_OUT]


def leak(call: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """Return the error that is not ours, or has no hint; None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(**arguments)
    except tw.ThalwegError as error:
        return None if error.hint.strip() and error.who else f"no hint: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.fixture(scope="module")
def somewhere(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("doors"))
        yield


# Doors that read, compile or train before they look at an argument that may be right.
SLOW = ("fit", "resume", "train", "stream_train", "find_lr", "find_batch_size", "search", "best", "race")
SLOW += ("cost", "fit_in", "diagnose", "landscape", "curvature", "range_test", "load(x, y)")


def values_for(name: str, place: int, every: bool) -> dict[str, Any]:
    """Return the values to try for a parameter: a third, in turn, where calls take long."""
    if name not in (SLOW[:2] if every else SLOW):
        return WRONG
    return {label: value for at, (label, value) in enumerate(WRONG.items()) if at % 3 == place % 3}


def right_by_chance(name: str, parameter: str, label: str) -> bool:
    """Return whether a value is acceptable, and would only cost time: it is left out."""
    if parameter == "function" and label == "class":  # what a given function raises is its own
        return True
    if (name, parameter) in FOREVER and label in ("huge", "3", "int64", "inf"):
        return True
    if name == "fit_in" and parameter == "budget" and label in ("3", "int64"):  # least memory, by all plans
        return True
    if (name, parameter, label) == ("race", "optimizers", "None"):
        return True
    return name in SEARCHES and label in ("None", "3", "0.5", "int64", "huge")


def test_only_our_own_errors_come_out(somewhere, pytestconfig):
    every = pytestconfig.getoption("--long") or pytestconfig.getoption("--repeats")
    leaks = []
    for name, (call, valid) in doors().items():
        for place, parameter in enumerate(parameters(name, call)):
            for label, value in values_for(name, place, every).items():
                if right_by_chance(name, parameter, label):
                    continue
                found = leak(call, valid | {parameter: value})
                if found is not None:
                    leaks.append(f"{name}({parameter}={label}): {found}")
    assert not leaks, "\n".join(leaks)


def test_every_public_callable_is_tried(somewhere):
    tried = {name.partition(".")[0].partition("(")[0] for name in doors()}
    callables = {name for name in dir(tw) if callable(getattr(tw, name))}
    errors = {
        name
        for name in callables
        if isinstance(getattr(tw, name), type) and issubclass(getattr(tw, name), Exception)
    }
    assert callables - errors - RESULTS - tried == {"render"}  # its argument is a record, or a run


def test_a_wrong_number_of_arguments_is_pythons_own_error():
    with pytest.raises(TypeError):
        tw.train()  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected"):
        tw.train(made, recipes=3)  # type: ignore[call-overload]


@checked(BadInput)
def sample(count: int, rate: float = 1.0, names: list[str] | None = None, exact: bool = False) -> tuple:
    return count, rate, names, exact


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": "3"}, "count must be a whole number; got 3\nhint: for example count=1"),
        ({"count": True}, "count must be a whole number"),
        ({"count": 1.0}, "count must be a whole number"),
        ({"count": 1, "rate": "fast"}, "rate must be a number"),
        ({"count": 1, "names": "ab"}, "names must be a list of text or None"),
        ({"count": 1, "names": ["a", 2]}, "names must be a list of text or None"),
        ({"count": 1, "exact": 1}, "exact must be True or False"),
        ({"count": np.zeros(3)}, "got a value of type ndarray"),
    ],
)
def test_the_annotation_is_the_rule(arguments, words):
    with pytest.raises(BadInput) as caught:
        sample(**arguments)
    assert str(caught.value).startswith("sample: ") and words in str(caught.value)


def test_numbers_of_numpy_are_numbers():
    assert sample(np.int32(3), np.float32(0.5), ["a"], np.bool_(True))[0] == 3
    assert sample(1, 2)[1] == 2
