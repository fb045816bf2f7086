"""The rounds of a search for the best network: what is tried next, what it may cost, what is written."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.caller import argument, option
from thalweg.core.disk import replace as write
from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import count as count_parameters
from thalweg.insight.best.allowance import Allowance, Watched
from thalweg.insight.best.candidates import Candidates, Structure, judged_by
from thalweg.insight.best.result import Best, Trial
from thalweg.insight.judging import judged
from thalweg.insight.wording import figure
from thalweg.problem.models import MLP, Tabular
from thalweg.problem.problem import METRIC, Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import own_rate
from thalweg.recipe.vary import quasi_random
from thalweg.run.folder.filesystem import as_json, files_of, read_json
from thalweg.run.progress import Progress
from thalweg.run.resume import is_resumable, resume_judged
from thalweg.run.run import Run
from thalweg.run.spec import Halving, SaveOptions
from thalweg.run.train import plan, train, train_judged

FILE = "best.json"
# Lanes of a round, and the fewest that are worth one.
LANES, FEWEST = 8, 2
HALVING = Halving(factor=3.0, first=1 / 9)
# What halving leaves of the updates of all lanes: 1/9 of all, 2/9 of a third, 2/3 of a ninth; as lanes are
# whole, rather more.
HALVED = 0.35
# Share of the budget after which rounds are around the best, and the narrowest spread of these.
WIDE, NARROWEST = 0.5, 1 / 16
# The final run: its time beyond the prediction, for references, figures to decide by and the report.
MARGIN, JUDGING, JUDGING_SECONDS = 1.2, 0.2, 4.0
Point = tuple[float, float, float]


@dataclass
class Round:
    """A round that has ended.

    Args:
        structure: Of all of its lanes.
        trials: Its lanes.
        planned: Seconds that its work suggests (`_suggested`); 0 for the default.
        wall, seconds: What it took in all, and in training.
        near: Whether it was around the best.
    """

    structure: Structure
    trials: list[Trial]
    planned: float
    wall: float
    seconds: float
    near: bool = False


class Search:
    """A search on its way.

    Args:
        problem: The whole problem; only `final` uses it.
        candidates: What can be tried, on the problem without its test split.
        allowance: The budget.
        progress: Who listens.
    """

    def __init__(self, problem: Problem, candidates: Candidates, allowance: Allowance, progress: Progress):
        self.problem, self.candidates = problem, candidates
        self.allowance, self.progress = allowance, progress
        by_metric = problem.select == METRIC
        self.metric = problem.metric.name if by_metric else "loss"
        self.higher = bool(by_metric and problem.metric.higher_is_better)
        self.folder: Path | None = None
        self.rounds: list[Round] = []
        self.interrupted = False

    @property
    def trials(self) -> list[Trial]:
        """All lanes of all rounds."""
        return [trial for each in self.rounds for trial in each.trials]

    @property
    def winner(self) -> Trial | None:
        """The best trial that ran to its end; None where none did."""
        whole = [trial for trial in self.trials if trial.whole and trial.figure is not None]
        sign = -1.0 if self.higher else 1.0
        return min(whole, key=lambda trial: sign * (trial.figure or 0.0)) if whole else None

    def searched(self) -> Trial | None:
        """Train round by round while the budget lasts; return the winner."""
        if not self.rounds:
            self._train(self.candidates.centre, [(0.0, 0.0, 0.0)])
            self._check_seconds()
        if self.folder is not None and is_resumable(self.folder):
            return self.winner  # the final run has begun: it is of the winner of these rounds
        while not self.interrupted and (following := self._next()) is not None:
            self._train(*following)
        return self.winner

    def final(
        self, winner: Trial, save: SaveOptions | None, folder: Path | None, asked: dict[str, Any]
    ) -> Run:
        """Train the winner on the whole problem, as `fit` would, and evaluate it."""
        heard = Watched(self.progress, self.allowance, 0.0)
        problem = self.candidates.problem(winner.structure, self.problem)
        recipe = self.candidates.recipe(winner.structure, winner.point)
        if folder is not None and is_resumable(folder):
            run: Any = resume_judged(folder, problem, judged, progress=heard)
        else:
            kept = None if save is None else replace(save, out=folder, restart=True)
            run = train_judged(problem, recipe, judged, asked, keep=kept, progress=heard)
        self.allowance.updates += run.result["steps"]
        if heard.stopped:
            self.progress.note("the budget ended before the final run did; resuming it trains the rest")
        return run

    def result(self, winner: Trial, run: Run | None) -> Best:
        """Return the result, and write it."""
        model = self.candidates.problem(winner.structure).model
        ensemble = model.members if isinstance(model, Tabular) and model.members > 1 else None
        if isinstance(model, (MLP, Tabular)):
            model = replace(model, sizes=(None, *model.sizes[1:-1], None))
            if ensemble:
                model = replace(model, members=1, folds=1, averaged="mean")
        found = Best(
            self.problem.data.name,
            self.metric,
            self.higher,
            judged_by(self.problem),
            tuple(self.trials),
            winner,
            model.spec() if hasattr(model, "spec") else self.problem.model_spec,
            ensemble,
            self.candidates.recipe(winner.structure, winner.point),
            self.allowance.text(self.allowance.total),
            self.allowance.text(self.allowance.spent),
            len(self.rounds) - 1,
            run,
        )
        self._write({name: value for name, value in found.to_dict().items() if name != "result"})
        return found

    def read(self) -> None:
        """Take over the rounds that best.json holds.

        Raises:
            RecipeError: They are of other data, or of another centre.
        """
        path = None if self.folder is None else self.folder / FILE
        if path is None or not path.is_file():
            return
        content = read_json(path, "best")
        subject = content.get("subject")
        if subject != self._subject():
            hint = "give the options that it was started with, or another folder"
            raise RecipeError(
                argument("resume"),
                "the search in the folder must be of the same data and options",
                got=str(self.folder),
                hint=hint,
            )
        for each in content["rounds"]:
            trials = [Trial(**t | {"point": tuple(t["point"])}) for t in each["trials"]]
            self.rounds.append(
                Round(each["structure"], trials, each["planned"], each["wall"], each["seconds"], each["near"])
            )
        if bool(content["in_seconds"]) == self.allowance.seconds:
            self.allowance.before = content["spent"]

    def _subject(self) -> dict[str, Any]:
        """Return what a search must have in common with the one that it continues."""
        return {
            "data": self.problem.data.fingerprint,
            "recipe": toml.write(self.candidates.recipe(self.candidates.centre, (0.0, 0.0, 0.0))),
            "model": self.problem.model_spec,
            "metric": self.metric,
            "choices": {name: [str(v) for v in values] for name, values in self.candidates.choices.items()},
        }

    def _write(self, more: dict[str, Any] | None = None) -> None:
        if self.folder is None:
            return
        content = {
            "subject": self._subject(),
            "in_seconds": self.allowance.seconds,
            "spent": self.allowance.spent,
            "rounds": [asdict(each) for each in self.rounds],
        }
        write(self.folder / FILE, as_json((more or {}) | content), files=files_of(self.folder))

    def _next(self) -> tuple[Structure, list[Point], bool] | None:
        """Return structure, points and whether it is around the best, of the next round; None: none fits."""
        number, best = len(self.rounds), self.winner
        points = 2 * quasi_random(LANES, 3, number) - 1
        wide = best is None or self.allowance.spent < WIDE * self.allowance.total
        structure, near = self._drawn(number), sum(each.near for each in self.rounds)
        if best is not None and not wide:
            spread = max(NARROWEST, 0.5 ** (1 + near // 2))
            if near % 2:  # one choice of the best's is changed, each in turn
                names = list(self.candidates.choices)
                name = names[near // 2 % len(names)]
                structure = best.structure | {name: structure[name]}
            else:
                structure = best.structure
            points = np.clip(np.array(best.point) + spread * points, -1, 1)
        for tried in (structure, self.candidates.centre if best is None else best.structure):
            count = self._affordable(tried)
            if count >= FEWEST:
                rows = [(float(a), float(b), float(c)) for a, b, c in np.round(points[:count], 3)]
                return tried, rows, not wide
        return None

    def _drawn(self, number: int) -> Structure:
        """Return the structure of a round in which everything is tried; the first is the centre."""
        count = len(self.candidates.choices)
        if number <= 1 or not count:
            return self.candidates.centre
        power = 1 << (number - 1).bit_length()
        return self.candidates.drawn(quasi_random(power, count, 0)[number - 1].tolist())

    def _affordable(self, structure: Structure) -> int:
        """Return how many lanes of a structure fit into what is left, beside the final run."""
        left = self.allowance.left - self._reserved(structure)
        fits = (n for n in range(LANES, 0, -1) if self._cost(structure, n) <= left)
        return next(fits, 0)

    def _reserved(self, structure: Structure) -> float:
        """Return what the final run may cost, of the best so far or of a structure."""
        winner = self.winner
        structures = [structure] if winner is None else [structure, winner.structure]
        if not self.allowance.seconds:
            return max(self.candidates.updates(each) for each in structures)
        first = self.rounds[0]
        trained = max(self._relative(each) for each in structures) * first.seconds
        return MARGIN * (first.wall - first.seconds + (1 + JUDGING) * trained) + JUDGING_SECONDS

    def _cost(self, structure: Structure, lanes: int) -> float:
        """Return what a round costs: in updates at most, in seconds as predicted from those before it."""
        if not self.allowance.seconds:
            return lanes * self.candidates.updates(structure)
        past = [each.wall / each.planned for each in self.rounds if each.planned][-3:]
        return self._suggested(structure, lanes) * max([1.0, *past])

    def _suggested(self, structure: Structure, lanes: int) -> float:
        """Return the seconds of a round that those of the default suggest; each compiles once more."""
        first = self.rounds[0]
        return first.wall - first.seconds + HALVED * lanes * self._relative(structure) * first.seconds

    def _relative(self, structure: Structure) -> float:
        """Return the work of one training, in trainings of the default: updates times parameters."""
        centre = self.candidates.centre
        size = [
            count_parameters(self.candidates.problem(s).shapes.params)
            * self.candidates.updates(s)
            * self.candidates.recipe(s, (0.0, 0.0, 0.0)).batch(self.problem.data.train.count())
            for s in (structure, centre)
        ]
        return max(size[0] / size[1], self.candidates.updates(structure) / self.candidates.updates(centre))

    def _train(self, structure: Structure, points: list[Point], near: bool = False) -> None:
        """Train a round and record it, unless the user interrupts it."""
        allowance, first = self.allowance, not self.rounds
        problem = self.candidates.problem(structure)
        recipes = [self.candidates.recipe(structure, point) for point in points]
        planned = 0.0 if first else self._suggested(structure, len(points))
        reserved = allowance.total / 2 if first else self._reserved(structure)
        heard, began = Watched(self.progress, allowance, reserved), time.monotonic()
        plan(problem, recipes)  # mistakes raise before anything is trained
        halving = HALVING if len(points) > 2 else None
        if first:
            runs: Any = [train(problem, recipes[0], progress=heard)]
        else:
            runs = train(problem, recipes, progress=heard, halving=halving)
        if any(run.result["stopped"] == StopReason.INTERRUPTED for run in runs):
            self.interrupted = True
            return
        trials = [self._trial(structure, point, run) for point, run in zip(points, runs, strict=True)]
        allowance.updates += sum(trial.updates for trial in trials)
        seconds = sum(run.result["seconds"]["train"] for run in runs)
        self.rounds.append(Round(structure, trials, planned, time.monotonic() - began, seconds, near))
        self._write()
        winner = self.winner
        if winner is not None:
            left = allowance.text(max(0, allowance.left))
            self.progress.note(
                f"round {len(self.rounds) - 1}: {_words(structure)}; best so far {self.metric} "
                f"{figure(winner.figure)} of {len(self.trials)} trials, {left} left"
            )

    def _trial(self, structure: Structure, point: tuple[float, float, float], run: Run) -> Trial:
        result = run.result
        value = result["validation_loss"]
        if self.metric != "loss":
            value = (result.get("validation_metric") or {}).get("value")
        stopped = StopReason(result["stopped"])
        if value is not None and (stopped == StopReason.DIVERGED or not np.isfinite(value)):
            value = None
        whole = value is not None and stopped.facts.planned
        rate = own_rate(run.recipe) if run.recipe.optimizer.rates else None
        shown = None if value is None else float(value)
        steps, number = int(result["steps"]), len(self.rounds)
        return Trial(number, structure, point, rate, steps, shown, str(stopped.value), whole)

    def _check_seconds(self) -> None:
        """Reject a time in which the default and one round after it cannot be trained.

        Raises:
            RecipeError: The message says the least.
        """
        if not self.allowance.seconds or self.interrupted:
            return
        first, centre = self.rounds[0], self.candidates.centre
        least = self.allowance.spent + self._reserved(centre) + self._cost(centre, FEWEST)
        if first.trials[0].stopped == StopReason.CALLER:
            share = max(1, first.trials[0].updates) / self.candidates.updates(centre)
            least = self.allowance.spent + 3 * first.seconds / share
        if least > self.allowance.total:
            rule = f"must be at least {least:.0f}s here: the default alone took {first.wall:.0f} s or more"
            hint = f"try {option('budget', f'{2 * least:.0f}s')}"
            got = self.allowance.text(self.allowance.total)
            raise RecipeError(argument("budget"), rule, got=got, hint=hint)


def _words(structure: Structure) -> str:
    """Return a structure in words."""
    return ", ".join(f"{name} {value}" for name, value in structure.items())
