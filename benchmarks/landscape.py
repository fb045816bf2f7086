"""Loss surfaces: time and error of a surface of 51 x 51 points, of few evaluations, and the pictures of docs.

The network is an MLP of 784-128-10 (101,770 parameters) on 10,000 examples of MNIST. Errors are against
evaluations of the same weights alone; those of few evaluations against the whole surface. Seconds are on the
clock and of the processor, all threads together, which other programs disturb less. The pictures are drawn
from networks of the catalogue in a reduced form, and written to docs/landscape/. `LANDSCAPE_ONLY=surface` or
`LANDSCAPE_ONLY=bowl,batches` in the environment does only these.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import thalweg as tw
from thalweg.core.compiler import jit
from thalweg.core.stop_reason import StopReason
from thalweg.insight.landscape.heights import Scale
from thalweg.insight.landscape.plane import random_plane
from thalweg.insight.landscape.points import Points
from thalweg.insight.landscape.subject import subject_of
from thalweg.insight.landscape.surface import over
from thalweg.recipe.recipe import Recipe
from thalweg.view.landscape.file import svg

DOCS = Path(__file__).parents[1] / "docs" / "landscape"
SHARED_STEPS = 2_700  # updates of the two runs whose batches differ: 30 epochs of the small ones
CHECKED = 25  # points whose value is compared with an evaluation alone


def run(quick: bool) -> dict[str, Any]:
    """Measure, and draw the pictures."""
    only = tuple(filter(None, os.environ.get("LANDSCAPE_ONLY", "").split(",")))
    shown = [picture(name, quick) for name in PICTURES if not only or name in only]
    return {"surface": surface(quick) if not only or "surface" in only else None, "pictures": shown}


def surface(quick: bool) -> dict[str, Any]:
    """Time the surface of an MLP, whole and from few evaluations, and compare its values."""
    trained = _mnist(quick)
    subject, side = subject_of(trained), 11 if quick else 51
    points = Points(subject, rows=1_000 if quick else 10_000)
    plane = random_plane(subject.params)
    over(points, plane, side=3)  # compiles
    started = time.process_time()
    whole = over(points, plane, side=side)
    spent = time.process_time() - started
    few = over(points, plane, side=side, few=True)
    scale = Scale.of(whole.loss)
    heights = [np.clip(scale.height(losses), 0, 1) for losses in (few.loss, whole.loss)]
    return {
        "points": whole.loss.size,
        "examples": points.examples,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(subject.params)),
        "seconds": whole.seconds,
        "processor_seconds": spent,
        "operations": 2 * whole.loss.size * points.examples * _weights(subject.params),
        "product_rate": _product_rate(),
        "largest_error": _error(points, plane, whole),
        "few_evaluations": few.evaluations,
        "few_seconds": few.seconds,
        "few_error": float(np.sqrt(np.mean((heights[0] - heights[1]) ** 2))),
        "few_stated": few.error,
    }


def _weights(params: Any) -> int:
    """Return the number of weights of matrices: the multiplications of an example."""
    return sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2)


def _product_rate(size: int = 2048, times: int = 8) -> float:
    """Return the operations a processor second of a large product, the fastest there is."""
    factor = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    product = jit(lambda given: given @ given)
    product(factor).block_until_ready()
    started = time.process_time()
    for _ in range(times):
        product(factor).block_until_ready()
    return 2.0 * times * size**3 / (time.process_time() - started)


def _error(points: Points, plane: Any, whole: Any) -> float:
    """Return the largest difference to an evaluation of the same weights alone."""
    random, worst = np.random.default_rng(0), 0.0
    for index in random.choice(whole.loss.size, min(CHECKED, whole.loss.size), replace=False):
        row, column = np.unravel_index(index, whole.loss.shape)
        at = np.array([[whole.x[column], whole.y[row]]])
        alone = points.combined(plane.origin, plane.directions, at).loss[0]
        worst = max(worst, abs(float(alone) - float(whole.loss[row, column])))
    return worst


def _trained(problem: Any, recipe: Recipe) -> Any:
    """Train; an interrupt ends the benchmark, and not with a picture of a network that was hardly trained."""
    run = tw.train(problem, recipe, progress=False)
    if run.result["stopped"] == StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return run


def _mnist(quick: bool) -> Any:
    recipe = Recipe(tw.Adam(lr=1e-3), batch_size=128, steps=20 if quick else 800)
    return _trained(tw.Problem(tw.MLP([784, 128, 10]), "mnist"), recipe)


def bowl(quick: bool) -> Any:
    """Four optimizers on the bowl."""
    steps = 30
    recipes = [
        Recipe(tw.SGD(lr=0.2), batch_size=1, steps=steps),
        Recipe(tw.SGD(lr=0.03, momentum=0.9), batch_size=1, steps=steps),
        Recipe(tw.RMSprop(lr=0.1), batch_size=1, steps=steps),
        Recipe(tw.Adam(lr=0.3), batch_size=1, steps=steps),
    ]
    return tw.landscape(tw.surface("bowl"), recipes=recipes)


def xor(quick: bool) -> Any:
    """The path of a 2-4-2 network that learns XOR, in its own plane."""
    recipe = Recipe(tw.SGD(lr=0.5), batch_size=64, steps=50 if quick else 1500)
    trained = _trained(tw.Problem(tw.MLP([2, 4, 2], activation="tanh"), "xor"), recipe)
    return tw.landscape(trained, plane="path", side=15 if quick else 51)


def mnist(quick: bool) -> Any:
    """The path of an MLP that learns MNIST."""
    return tw.landscape(_mnist(quick), plane="path", side=9 if quick else 41, rows=500 if quick else 4_000)


def _deep(model: Any, quick: bool) -> Any:
    recipe = Recipe(tw.SGD(lr=0.05, momentum=0.9), batch_size=64, epochs=1 if quick else 6)
    trained = _trained(tw.Problem(model, "digits"), recipe)
    return tw.landscape(trained, side=5 if quick else 31, rows=200)


def plain(quick: bool) -> Any:
    """A plain network of 14 layers on the digits."""
    return _deep(tw.VGG(depth=14, channels=4), quick)


def residual(quick: bool) -> Any:
    """A residual network of 34 layers on the digits."""
    return _deep(tw.ResNet(depth=34, channels=4), quick)


def batches(quick: bool) -> Any:
    """From SGD with batches of 16 to batches of 512, equal updates."""
    # Nothing else differs: another start would put a barrier between any two runs, and equal epochs would
    # give the large batch a 32nd of the updates.
    problem, recipe = tw.Problem(tw.MLP([64, 64, 10]), "digits"), Recipe(tw.SGD(lr=0.1), steps=SHARED_STEPS)
    recipe = replace(recipe, steps=20) if quick else recipe
    small, large = (_trained(problem, replace(recipe, batch_size=size)) for size in (16, 512))
    return tw.landscape(small, large)


def curve(quick: bool) -> Any:
    """Between two seeds: a barrier on the line, and a low curve around it."""
    problem = tw.Problem(tw.MLP([64, 64, 10]), "digits")
    recipe = Recipe(tw.Adam(lr=1e-3), batch_size=32, steps=20 if quick else 1500)
    one, other = (_trained(problem, replace(recipe, seed=seed)) for seed in (0, 1))
    return tw.landscape(one, other, curve=20 if quick else 1000)


PICTURES: dict[str, Callable[[bool], Any]] = {
    "bowl": bowl,
    "xor": xor,
    "mnist": mnist,
    "plain": plain,
    "residual": residual,
    "batches": batches,
    "curve": curve,
}


def picture(name: str, quick: bool) -> dict[str, Any]:
    """Draw one picture; return its time and what it says."""
    started = time.perf_counter()
    shown = PICTURES[name](quick)
    seconds = time.perf_counter() - started
    if not quick:
        DOCS.mkdir(exist_ok=True)
        title = (PICTURES[name].__doc__ or "").rstrip(".")
        (DOCS / f"{name}.svg").write_text(svg(shown, title), encoding="utf-8")
    return {"name": name, "seconds": seconds, "says": [shown.headline, *shown.sentences]}


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [] if result["surface"] is None else _surface_lines(result["surface"])
    lines += ["| picture | seconds with training and compilation | |", "|---|---|---|"]
    lines += [
        f"| {each['name']} | {each['seconds']:.1f} | {each['says'][0]} |" for each in result["pictures"]
    ]
    return "\n".join(lines)


def _surface_lines(of: dict[str, Any]) -> list[str]:
    least = of["operations"] / of["product_rate"]
    return [
        f"{of['points']:,} points, {of['parameters']:,} parameters, {of['examples']:,} examples: "
        f"{of['seconds']:.1f} s, {of['processor_seconds']:.1f} of the processor; "
        f"largest difference to an evaluation alone {of['largest_error']:.1e}",
        f"its products alone, at the rate of a large one ({of['product_rate'] / 1e9:.0f} GFLOP a processor "
        f"second): {least:.1f} s, so {100 * least / of['processor_seconds']:.0f} % of what it took",
        f"few evaluations: {of['few_evaluations']} in {of['few_seconds']:.1f} s, contours "
        f"{100 * of['few_error']:.2f} % of the range off, {100 * of['few_stated']:.2f} % stated",
        "",
    ]
