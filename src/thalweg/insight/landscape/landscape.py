"""`landscape`: the loss around one run, between two, through three; or a surface with paths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import numpy as np

from thalweg.core.arguments import check_fields
from thalweg.core.caller import argument, option
from thalweg.core.errors import BadInput, DataError, ModelError, did_you_mean
from thalweg.core.tree import paths as paths_of
from thalweg.insight.landscape.line import Line, between
from thalweg.insight.landscape.plane import (
    KINDS,
    PATH,
    RANDOM,
    RUNS,
    Plane,
    parameter_plane,
    path_plane,
    random_plane,
    runs_plane,
)
from thalweg.insight.landscape.points import FROZEN, RECOMPUTED, ROWS, Points, Progress
from thalweg.insight.landscape.subject import Subject, subject_of
from thalweg.insight.landscape.surface import SIDE, Landscape, Marked, over, trail
from thalweg.insight.wording import figure, listing
from thalweg.problem.models.adapter import build_as_trained
from thalweg.problem.problem import Problem
from thalweg.problem.surfaces import is_surface, surface_of
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import flat_settings, label, varied
from thalweg.run.folder.record import Record
from thalweg.run.run import Run
from thalweg.run.trajectory import POINTS, trajectories

# Points along a side of the picture of a surface, whose values cost nothing.
FINE_SIDE = 121
MOST_SIDE = 501
# A repeated run whose last weights differ by less of their norm has the same path for all to see.
SAME = 1e-3


@dataclass(frozen=True)
class LandscapeOptions:
    """What `landscape` computes.

    Args:
        plane: `random` (two random directions with filter normalisation), `path` (the principal components of
            the run's path) or `runs` (through three runs); None for `random` with one run.
        side: Points along a side of the picture.
        adaptive: Evaluate at most 300 points, and interpolate the rest; the error is measured and stated.
        span: Half of the picture's side on a random plane: 1 changes every filter by its own norm.
        seed: Of the random directions.
        path: Whether to draw the run's path on a random plane, or on the plane of three runs; the plane
            `path` always has it. The run is trained again where its folder has no checkpoints.
        split: Whose loss: `train`, `validation` or `test`.
        rows: The most examples to use, every n-th of a larger split; None for all.
        batch_norm: What running statistics hold at other weights: `frozen`, the run's own; or `recomputed`,
            from training examples at every point. None: frozen around one run, recomputed between several.
        curve: Between two runs: updates to train a low-loss curve for; 0 for none.
        data: Where the data are now, as `load` takes it, if they moved since the run.
        problem: Data and model, where a folder cannot say (arrays in memory, a custom class).
        weights: `best` or `final`; None for those that the run selected.
        unverified: Whether to use a folder without checksums.
    """

    plane: str | None = None
    side: int = SIDE
    adaptive: bool = False
    span: float = 1.0
    seed: int = 0
    path: bool = False
    split: str = "train"
    rows: int | None = ROWS
    batch_norm: str | None = None
    curve: int = 0
    data: Any = None
    problem: Any = None
    weights: str | None = None
    unverified: bool = False

    def __post_init__(self) -> None:
        check_fields(BadInput, "landscape", self)
        if self.plane is not None and self.plane not in KINDS:
            hint = did_you_mean(self.plane, KINDS)
            raise BadInput(argument("plane"), "must be random, path or runs", got=self.plane, hint=hint)
        rules = [
            ("side", 3 <= self.side <= MOST_SIDE, f"must be from 3 to {MOST_SIDE}", SIDE),
            ("span", 0 < self.span < np.inf, "must be above 0", 1.0),
            ("rows", self.rows is None or self.rows >= 1, "must be at least 1", ROWS),
            ("curve", self.curve >= 0, "must be at least 0 updates", 1000),
            ("seed", self.seed >= 0, "must be at least 0", 0),
        ]
        for name, holds, rule, example in rules:
            if not holds:
                hint = f"try {option(name, example)}"
                raise BadInput(argument(name), rule, got=getattr(self, name), hint=hint)


def landscape(
    run: Any,
    *others: Any,
    recipes: Sequence[Recipe] | None = None,
    options: LandscapeOptions | None = None,
    progress: Callable[[int, int], Any] | None = None,
    **settings: Any,
) -> Landscape | Line:
    """Compute the loss as a function of the weights.

    - One run: the loss on a plane through its weights.
    - Two runs: the loss on the straight line between them, and the barrier.
    - Three runs: the loss on the plane through them.
    - A problem of `surface`: its heights, with the paths of recipes, which are trained.

    Every value is the loss that an evaluation gives for these weights, computed by the same program.

    Args:
        run: A `Run`, the folder of a run, or a problem of `surface`.
        others: Up to two more runs, of the same model and data.
        recipes: With a surface: what to train on it, at most one lane each.
        options: What to compute; see `LandscapeOptions`.
        progress: A function that receives how many of how many points are done.
        **settings: Single options by name, which override `options`.

    Returns:
        A `Landscape`; between two runs a `Line`. `tw.render` makes a page of either.

    Raises:
        BadInput: A run or an option cannot be used, or runs do not belong together.

    Example:
        >>> import thalweg as tw
        >>> recipes = tw.Recipe(tw.SGD(lr=0.1), batch_size=1, steps=30).vary(lr=[0.02, 0.2])
        >>> picture = tw.landscape(tw.surface("bowl"), recipes=recipes)
        >>> [trail.stopped for trail in picture.trails]
        ['steps', 'steps']
    """
    known = {each.name for each in fields(LandscapeOptions)}
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known)
            raise BadInput("landscape", "takes the options of LandscapeOptions", got=name, hint=hint)
    chosen = replace(options or LandscapeOptions(), **settings)
    if isinstance(run, Run) and is_surface(run.problem) and not others and recipes is None:
        return on_surface(run.problem, [run.recipe], chosen)
    if isinstance(run, Problem):
        if others:
            rule, hint = "a surface is drawn alone", "give the recipes whose paths to draw: recipes="
            raise BadInput("landscape", rule, got=f"{1 + len(others)} problems", hint=hint)
        return on_surface(run, recipes or (), chosen)
    if recipes is not None:
        rule, hint = (
            "recipes are drawn on a surface",
            'for example landscape(tw.surface("bowl"), recipes=...)',
        )
        raise BadInput("landscape", rule, got=type(run).__name__, hint=hint)
    return landscape_of(_subjects((run, *others), chosen), chosen, progress)


def landscape_of(
    subjects: Sequence[Subject], options: LandscapeOptions, progress: Progress | None = None
) -> Landscape | Line:
    """Return the landscape of one or three networks, or the line between two; see `landscape`."""
    if len(subjects) > 3:
        rule, hint = "takes one, two or three runs", "leave some out"
        raise BadInput("landscape", rule, got=f"{len(subjects)} runs", hint=hint)
    _check_belong(subjects)
    subjects = _told_apart(subjects)
    if len(subjects) == 2:
        return _between(subjects, options, progress)
    return _of_runs(subjects, options, progress)


def _told_apart(subjects: Sequence[Subject]) -> list[Subject]:
    """Give runs of one name names of their own: the settings in which they differ, or numbers."""
    names = [subject.name for subject in subjects]
    if len(set(names)) == len(names):
        return list(subjects)
    settings = flat_settings([subject.recipe for subject in subjects])
    named = [label(each, varied(settings)) for each in settings]
    if len(set(named)) < len(named):
        named = [f"run {number}" for number in range(1, len(subjects) + 1)]
    return [replace(subject, name=name) for subject, name in zip(subjects, named, strict=True)]


def _subjects(sources: Sequence[Any], options: LandscapeOptions) -> list[Subject]:
    given = {name: getattr(options, name) for name in ("data", "problem", "weights", "unverified")}
    return [subject_of(source, **given) for source in sources]


def _check_belong(subjects: Sequence[Subject]) -> None:
    """Reject runs of different models or data: their weights do not span a plane, their losses none either.

    Raises:
        ModelError: The models differ.
        DataError: The data or the losses differ.
    """
    first = subjects[0]
    for other in subjects[1:]:
        mine, its = (_arrays(subject) for subject in (first, other))
        if mine != its:
            names = f"{first.problem.model_name} and {other.problem.model_name}"
            where = next(
                (
                    f"{path} {shape}"
                    for path, shape in (*mine, *its)
                    if ((path, shape) in mine) != ((path, shape) in its)
                ),
                None,
            )
            hint = "give runs of one model, for example of two seeds or two recipes"
            raise ModelError(
                "landscape", "runs must have the same parameters", got=names, where=where, hint=hint
            )
        prints = [subject.problem.data.fingerprint for subject in (first, other)]
        if prints[0] != prints[1]:
            hint = "give runs on the same data, split in the same way"
            got = f"{first.name} and {other.name}"
            raise DataError("landscape", "runs must have the same data", got=got, hint=hint)
        if first.problem.loss != other.problem.loss:
            hint, got = "give runs with one loss", f"{first.problem.loss.name} and {other.problem.loss.name}"
            raise DataError("landscape", "runs must have the same loss", got=got, hint=hint)


def _arrays(subject: Subject) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (path, tuple(leaf.shape))
        for path, leaf in zip(paths_of(subject.params), jax.tree.leaves(subject.params), strict=True)
    ]


def on_surface(problem: Problem, recipes: Sequence[Recipe], options: LandscapeOptions) -> Landscape:
    """Return a surface of two parameters, with the paths of recipes that are trained on it."""
    if not is_surface(problem):
        hint = 'for example tw.surface("bowl"); of other problems give a run, tw.train(problem)'
        raise BadInput("landscape", "takes a run, or a surface", got=problem.model_name, hint=hint)
    surface, lanes = surface_of(problem), list(recipes)
    found = trajectories(problem, lanes, points=max(POINTS, _longest(lanes))) if lanes else []
    subject = _surface_subject(problem, lanes)
    points = Points(subject, rows=None)
    plane = parameter_plane(subject.params, surface.window)
    side = FINE_SIDE if options.side == SIDE else options.side
    named = [
        label(settings, varied(flat_settings(lanes))) or problem.name for settings in flat_settings(lanes)
    ]
    trails = [trail(points, plane, name, path) for name, path in zip(named, found, strict=True)]
    return over(points, plane, side=side, trails=tuple(trails), name=f"{problem.name}, {surface.formula}")


def _longest(recipes: Sequence[Recipe]) -> int:
    """Return the updates of the longest recipe, one to an epoch: each is drawn, up to a thousand."""
    return min(1000, max(recipe.length(1) for recipe in recipes))


def _surface_subject(problem: Problem, recipes: Sequence[Recipe]) -> Subject:
    recipe = recipes[0] if recipes else Recipe(batch_size=1, steps=1)
    built = build_as_trained(problem.model, recipe.seed)
    record = Record(None, recipe.to_dict(), {}, {}, {})
    return Subject(problem.model_name, problem, recipe, built.params, built.model_state, record)


def _policy(options: LandscapeOptions, runs: int) -> str:
    return options.batch_norm or (FROZEN if runs == 1 else RECOMPUTED)


def _between(subjects: Sequence[Subject], options: LandscapeOptions, progress: Progress | None) -> Line:
    if options.plane is not None or options.adaptive or options.path:
        name = "plane" if options.plane is not None else "adaptive" if options.adaptive else "path"
        rule, hint = "two runs span a line and no plane", "leave it out, or give one run or three"
        raise BadInput(argument(name), rule, got=getattr(options, name), hint=hint)
    first, second = subjects
    policy = _policy(options, 2)
    known = first.problem.data.splits
    splits = [
        options.split,
        *(name for name in ("validation", "test") if name in known and name != options.split),
    ]
    evaluators = [Points(first, split, options.rows, policy) for split in splits[:2]]
    return between(first, second, evaluators, curve_steps=options.curve, progress=progress)


def _of_runs(subjects: Sequence[Subject], options: LandscapeOptions, progress: Progress | None) -> Landscape:
    if options.curve:
        rule, hint = "a curve is trained between two runs", "leave it out, or give two runs"
        raise BadInput(argument("curve"), rule, got=options.curve, hint=hint)
    first, several = subjects[0], len(subjects) == 3
    kind = options.plane or (RUNS if several else RANDOM)
    if (kind == RUNS) != several:
        rule = "takes three runs" if kind == RUNS else f"{kind} takes one run"
        raise BadInput(
            argument("plane"), rule, got=f"{len(subjects)} runs", hint=f"try {RUNS if several else RANDOM}"
        )
    points = Points(first, options.split, options.rows, _policy(options, len(subjects)))
    path = first.trajectory() if kind == PATH or options.path else None
    plane = _plane(kind, subjects, options, path)
    trails = () if path is None else (trail(points, plane, first.name, path),)
    notes = []
    if path is not None and first.end_error(path) > SAME:
        notes.append(
            "The run was trained again to find its path, and ended at other weights: they differ by "
            f"{figure(first.end_error(path), 2)} of their norm."
        )
    marks = _marks(points, plane, subjects)
    return over(
        points,
        plane,
        side=options.side,
        few=options.adaptive,
        progress=progress,
        trails=trails,
        marks=marks,
        notes=tuple(notes),
        name=listing([subject.name for subject in subjects]),
    )


def _plane(kind: str, subjects: Sequence[Subject], options: LandscapeOptions, path: Any) -> Plane:
    if kind == RANDOM:
        return random_plane(subjects[0].params, options.seed, options.span)
    if kind == RUNS:
        return runs_plane([subject.params for subject in subjects])
    finite = [each for each in path.weights if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(each))]
    return path_plane(finite, subjects[0].params)


def _marks(points: Points, plane: Plane, subjects: Sequence[Subject]) -> tuple[Marked, ...]:
    weights = [subject.params for subject in subjects]
    at, losses = plane.coordinates(weights), points.at(weights).loss
    return tuple(
        Marked(subject.name, (float(x), float(y)), float(loss))
        for subject, (x, y), loss in zip(subjects, at, losses, strict=True)
    )
