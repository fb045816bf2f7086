"""`Playground`: a training that is played with, update by update, with variants beside it as lanes.

It trains with the engine of every run: the same initial weights, batches and updates as `train` with the
same recipe. All variants are at the same update, so that they are compared at equal lengths: what changes
numbers goes on from there, what changes anything else restarts all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import PyTree

from thalweg.core.compiler import fast_compilation
from thalweg.core.errors import BadInput
from thalweg.engine.feeds import resident
from thalweg.insight.play.lanes import MOST_PINNED, LaneSet
from thalweg.insight.play.scene import Scene
from thalweg.insight.play.settings import NUMBERS, SHARED, Settings
from thalweg.insight.play.sources import SURFACE, Source
from thalweg.insight.tape.tape import Tape
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Points of a curve that are kept; of a longer one every second, fourth, ... is.
MOST_POINTS = 512


@dataclass
class History:
    """The curves of a variant.

    Args:
        steps: Updates made at each point.
        values: Training loss, validation loss, then the gradient norm of each array; `point value`.
        path: On a surface, where the variant was at each point; else empty.
    """

    steps: list[int] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    path: list[list[float]] = field(default_factory=list)

    def append(self, step: int, values: list[float], at: Sequence[float] = ()) -> None:
        """Add a point, or replace the last one where it is of the same update."""
        if self.steps and self.steps[-1] == step:
            del self.steps[-1:], self.values[-1:], self.path[-1:]
        if len(self.steps) >= MOST_POINTS:
            self.steps, self.values, self.path = self.steps[::2], self.values[::2], self.path[::2]
        self.steps.append(step)
        self.values.append(values)
        self.path += [list(at)] if len(at) else []

    def copy(self) -> "History":
        """Return a copy that grows on its own."""
        return History(list(self.steps), list(self.values), list(self.path))


@dataclass
class Variant:
    """A network in training: its settings, and how it went.

    Args:
        number: Its number, never used again; the variant that the controls change has 0.
        settings: What it is trained with.
        history: Its curves.
    """

    number: int
    settings: Settings
    history: History = field(default_factory=History)


@dataclass(frozen=True)
class View:
    """What can be seen of a variant after some update.

    Args:
        variant: The variant.
        outputs: Of the network on the scene's grid, `point ...`; of a surface its point, `2`.
        train_loss, validation_loss: Losses on the examples that are shown; NaN without validation examples.
        stopped: Whether it has diverged.
    """

    variant: Variant
    outputs: np.ndarray
    train_loss: float
    validation_loss: float
    stopped: bool


class Playground:
    """A training to play with.

    Args:
        source: What is learned from.
        settings: What to begin with; None for those that suit the source.

    Attributes:
        step: Updates made.
        variants: The variant that the controls change, then the pinned ones.
    """

    def __init__(self, source: Source, settings: Settings | None = None):
        self._numbers = 0
        self.step = 0
        self.show(source, settings)

    def show(self, source: Source, settings: Settings | None = None) -> None:
        """Learn from other data; pinned variants go, since theirs were others.

        Args:
            source: The data.
            settings: The settings; None keeps those that suit the new data too.
        """
        before = self.settings if hasattr(self, "variants") else None
        chosen = settings or Settings.for_source(source, before)
        problem, splits, scene = _prepared(source, chosen)
        self.source, self.scene, self._splits = source, scene, splits
        self.variants = [Variant(0, chosen)]
        self._problems = {chosen.structure(): problem}
        self.reset()

    @property
    def settings(self) -> Settings:
        """The settings of the variant that the controls change."""
        return self.variants[0].settings

    @property
    def recipe(self) -> Recipe:
        """The recipe of that variant."""
        return self.settings.recipe()

    @property
    def problem(self) -> Problem:
        """The problem of that variant."""
        return self._problem(self.settings)

    @property
    def epoch_steps(self) -> int:
        """Updates in an epoch of the first variant."""
        return self._place()[0].epoch_steps

    @property
    def length(self) -> int:
        """Updates planned."""
        return self.settings.steps

    @property
    def finished(self) -> bool:
        """Whether all planned updates are made, or all variants have diverged."""
        return self.step >= self.length or all(lanes.stopped.all() for lanes, _ in self._sets)

    def change(self, changes: Mapping[str, Any]) -> bool:
        """Change settings of the first variant.

        Numbers change while it runs. Anything else restarts all variants from their seeds, and may compile.

        Returns:
            Whether it was restarted.

        Raises:
            BadInput: A setting is unknown, or its value impossible; nothing has changed.
        """
        before, after = self.settings, self.settings.changed(changes)
        self._problem(after)  # refuses what cannot be
        after.recipe()
        different = {name for name in vars(after) if getattr(after, name) != getattr(before, name)}
        if not different:
            return False
        shared = {name: getattr(after, name) for name in different & SHARED}
        self.variants[0].settings = after
        for variant in self.variants[1:]:
            variant.settings = variant.settings.changed(shared)
        if "start" in different:
            self._problems.clear()
        if different <= NUMBERS:
            for lanes, members in self._sets:
                lanes.set_recipes([variant.settings.recipe() for variant in members])
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Start again from the seeds; everything that follows is the same as before, bit for bit."""
        self.step = 0
        ordered = sorted(self.variants, key=lambda variant: repr(variant.settings.structure()))
        groups = [list(g) for _, g in groupby(ordered, key=lambda variant: variant.settings.structure())]
        with fast_compilation():
            self._sets = [(self._lanes(members), members) for members in groups]
        for variant in self.variants:
            variant.history = History()
        self.look()

    def _lanes(self, members: Sequence[Variant]) -> LaneSet:
        recipes = [variant.settings.recipe() for variant in members]
        return LaneSet(self._problem(members[0].settings), recipes, self._splits)

    def _problem(self, settings: Settings) -> Problem:
        key = settings.structure()
        if settings.start != self.settings.start:
            return settings.problem(self.source)
        if key not in self._problems:
            self._problems[key] = settings.problem(self.source)
        return self._problems[key]

    def advance(self, steps: int = 1) -> None:
        """Make some updates of all variants, not beyond the planned length."""
        steps = min(steps, self.length - self.step)
        if steps > 0:
            with fast_compilation():
                for lanes, _ in self._sets:
                    lanes.advance(self.step, steps)
            self.step += steps
            self.look()

    def pin(self) -> Variant:
        """Keep the first variant as it is, with its weights, as a lane that trains on beside it.

        Raises:
            BadInput: Eight are pinned already.
        """
        if len(self.variants) > MOST_PINNED:
            hint = "unpin one first"
            raise BadInput("play", f"{MOST_PINNED} variants can be pinned", got="another", hint=hint)
        self._numbers += 1
        first = self.variants[0]
        variant = Variant(self._numbers, first.settings, first.history.copy())
        self.variants.append(variant)
        for lanes, members in self._sets:
            if first in members:
                lane = members.index(first)
                members.append(variant)
                lanes.fork(lane, [each.settings.recipe() for each in members])
        self.look()
        return variant

    def unpin(self, number: int) -> None:
        """Drop a pinned variant.

        Raises:
            BadInput: There is none of that number.
        """
        variant = next((each for each in self.variants[1:] if each.number == number), None)
        if variant is None:
            hint = "choose one of the pinned variants"
            raise BadInput("play", "no such variant is pinned", got=str(number)[:20], hint=hint)
        self.variants.remove(variant)
        sets = []
        for lanes, members in self._sets:
            kept = [lane for lane, each in enumerate(members) if each is not variant]
            own = [members[lane] for lane in kept]
            if kept and len(kept) < len(members):
                lanes.keep(kept, [each.settings.recipe() for each in own])
            if kept:
                sets.append((lanes, own))
        self._sets = sets
        self.look()

    def look(self) -> None:
        """Evaluate all variants: what `views` returns, and a point of their curves."""
        views = {}
        for lanes, members in self._sets:
            # Compiled with optimisation: a third of the time per picture, for a second more to compile.
            outputs, train, validation = self.scene.measure(lanes)
            for lane, variant in enumerate(members):
                norms = lanes.gradient_norms[lane].tolist() if self.step else []
                own = float(train[lane]), float(validation[lane])
                at = outputs[lane].tolist() if self.source.kind == SURFACE else ()
                variant.history.append(self.step, [*own, *norms], at)
                views[variant.number] = View(variant, outputs[lane], *own, bool(lanes.stopped[lane]))
        self.views = [views[variant.number] for variant in self.variants]

    def weights(self) -> PyTree:
        """Return the weights of the first variant."""
        lanes, lane = self._place()
        return lanes.params(lane)

    @property
    def layers(self) -> list[str]:
        """Names of its parameter arrays."""
        return self._place()[0].layers

    def tape(self) -> Tape | None:
        """Record its last update op by op; None unless that was a single one."""
        lanes, lane = self._place()
        return lanes.tape(lane)

    def _place(self) -> tuple[LaneSet, int]:
        first = self.variants[0]
        return next((lanes, members.index(first)) for lanes, members in self._sets if first in members)


def _prepared(source: Source, settings: Settings) -> tuple[Problem, Any, Scene]:
    """Return the problem of a source, its data on the device, and how it is drawn."""
    problem = settings.problem(source)
    return problem, resident(problem.data), Scene.of(source, None if source.kind == SURFACE else source.data)
