"""`Bench`: what an experiment works with. It trains, checks, tabulates and draws; and keeps all of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from thalweg.core.compiler import fast_compilation
from thalweg.engine.group import length
from thalweg.insight.intervals import estimate_mean
from thalweg.insight.landscape.landscape import LandscapeOptions, on_surface
from thalweg.insight.landscape.surface import Landscape
from thalweg.insight.trials import Variant, run_trials
from thalweg.insight.wording import figure
from thalweg.lab.arms import Arms
from thalweg.lab.chart import Chart, Intervals, Picture, Series, Surface
from thalweg.lab.experiment import ABOVE, BELOW, EQUAL, Check, Values, checked_values
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Updates of a lane in the quick form, which shows that an experiment runs and that its arithmetic holds.
QUICK_STEPS = 4
Recipes = Mapping[str, Recipe | tuple[Problem, Recipe]]


@dataclasses.dataclass(frozen=True)
class Told:
    """A figure that a text gives, beside what came out.

    Args:
        what: The figure, in words.
        text: As the text gives it.
        came: As measured.
        same: Whether they agree.
    """

    what: str
    text: str
    came: str
    same: bool


class Bench:
    """The bench of one experiment.

    Args:
        seeds: Seeds of all lanes.
        quick: Whether lanes are cut to a few updates.

    Attributes:
        checks: What was checked.
        rows: Of the table: one for each lane, and what the experiment adds.
        pictures: The figure, from top to bottom.
        told: Figures of texts beside those measured.
        notes: Sentences for the page.
        lane_steps: Updates computed.
    """

    def __init__(self, seeds: Sequence[int], quick: bool = False):
        self.seeds, self.quick = tuple(int(seed) for seed in seeds), quick
        self.checks: list[Check] = []
        self.rows: list[dict[str, Any]] = []
        self.pictures: list[Picture] = []
        self.told: list[Told] = []
        self.notes: list[str] = []
        self.lane_steps = 0

    def cut(self, whole: int, quick: int) -> int:
        """Return a size: `whole`, or in the quick form `quick`."""
        return quick if self.quick else whole

    def train(
        self,
        problem: Problem,
        recipes: Recipes,
        *,
        label: str = "",
        exact: bool = False,
        noiseless: bool = False,
        optimised: bool = False,
    ) -> Arms:
        """Train every variant with every seed, as lanes (`insight.trials`), and add them to the table.

        Args:
            problem: The common problem.
            recipes: By the variant's name; or pairs of a problem of its own and a recipe.
            label: Of this set in the table, where an experiment has several.
            exact: Whether the quick form trains just as long: for a few parameters.
            noiseless: Whether nothing depends on the seed, so that one is enough; implies `exact`.
            optimised: Whether programs are compiled with optimisation: for long runs, and to measure time.
        """
        variants, longest = [], 0
        for name, given in recipes.items():
            own, recipe = given if isinstance(given, tuple) else (None, given)
            variants.append(Variant(name, recipe, own))
            longest = max(longest, length(own or problem, recipe))
        cut = self.quick and not (exact or noiseless) and longest > QUICK_STEPS
        with nullcontext() if optimised and not self.quick else fast_compilation():
            seeds = self.seeds[:1] if noiseless else self.seeds
            trials = run_trials(problem, variants, seeds, QUICK_STEPS if cut else None)
        self.lane_steps += trials.lane_steps
        names = ("variant", "seed", "loss", "train_loss", "metric", "steps", "diverged_at", "seconds")
        for row in trials.table.select(names).iter_rows(named=True):
            self.rows.append(({"set": label} if label else {}) | row)
        return Arms(trials)

    def descend(self, problem: Problem, recipes: Mapping[str, Recipe], side: int = 61) -> Landscape:
        """Return a surface with the paths of recipes on it, by name."""
        with fast_compilation():
            drawn = on_surface(problem, list(recipes.values()), LandscapeOptions(side=side))
        self.lane_steps += sum(recipe.length(1) for recipe in recipes.values())
        renamed = [
            dataclasses.replace(trail, name=name) for trail, name in zip(drawn.trails, recipes, strict=True)
        ]
        return dataclasses.replace(drawn, trails=tuple(renamed))

    def above(self, what: str, values: Values, bound: float = 0.0, when: str = "") -> None:
        """Check that a figure is above a bound, with its whole interval."""
        self.checks.append(checked_values(what, values, ABOVE, bound, when=when))

    def below(self, what: str, values: Values, bound: float = 0.0, when: str = "") -> None:
        """Check that a figure is below a bound, with its whole interval."""
        self.checks.append(checked_values(what, values, BELOW, bound, when=when))

    def equal(self, what: str, value: float, bound: float, tolerance: float = 1e-6, when: str = "") -> None:
        """Check arithmetic: a figure without noise, which the quick form checks too."""
        check = checked_values(what, float(value), EQUAL, bound, tolerance=tolerance, when=when)
        self.checks.append(check)

    def tell(self, what: str, text: str, came: Values, value: float, within: float = 0.0) -> None:
        """Put a figure that a text gives beside what came out.

        Args:
            what: The figure, in words.
            text: As the text gives it; a share that it gives in percent is written so.
            came: As measured: a number, or one for each seed.
            value: The text's figure, in the unit of `came`.
            within: The largest difference at which they count as the same.
        """
        numbers = [came] if isinstance(came, (int, float)) else _numbers(came)
        estimate = estimate_mean(numbers)
        assert estimate is not None
        scale, unit = (100.0, " %") if text.endswith("%") and abs(value) <= 1 else (1.0, "")
        ends = ""
        if estimate.low is not None and estimate.high is not None:
            ends = f" ({figure(scale * estimate.low)} to {figure(scale * estimate.high)}{unit})"
        written = f"{figure(scale * estimate.mean, 6 if len(numbers) == 1 and not unit else 4)}{unit}{ends}"
        self.told.append(Told(what, text, written, abs(estimate.mean - value) <= within))

    def row(self, **figures: Any) -> None:
        """Add a row to the table."""
        self.rows.append(figures)

    def note(self, sentence: str) -> None:
        """Add a sentence to the page."""
        self.notes.append(sentence)

    def draw(self, title: str, lines: Sequence[Series], **options: Any) -> None:
        """Draw curves; options are those of `Chart`: `x`, `y`, `log_x`, `log_y`, `marks`."""
        self.pictures.append(Chart(title, tuple(lines), **options))

    def intervals(self, title: str, values: Mapping[str, Any], x: str, **options: Any) -> None:
        """Draw each variant's figures and their mean with its interval; `values` is by name, then by seed."""
        rows = {name: np.array(_numbers(each), np.float64) for name, each in values.items()}
        self.pictures.append(Intervals(title, rows, x, **options))

    def surface(self, title: str, landscape: Landscape) -> None:
        """Draw a surface with its paths."""
        self.pictures.append(Surface(title, landscape))

    def picture(self, picture: Picture) -> None:
        """Add a picture."""
        self.pictures.append(picture)


def _numbers(values: Any) -> list[float]:
    return [float(v) for v in (values.values() if isinstance(values, Mapping) else values)]
