"""`Best`: the result of a search for the best network."""

from dataclasses import asdict, dataclass
from typing import Any

from thalweg.core.stop_reason import StopReason
from thalweg.insight.best.candidates import NUMBERS
from thalweg.insight.best.mattered import Mattered, mattered
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Run

# Trials that are printed.
SHOWN = 10


@dataclass(frozen=True)
class Trial:
    """One lane of a search.

    Args:
        round: The round in which it was trained, 0 for the default.
        structure: What was chosen: optimizer, width, dropout, batch, ... (factors of the default's).
        point: Of rate, momentum and weight decay, each from -1 to 1 around the optimizer's defaults.
        rate: The learning rate.
        updates: Updates that it made.
        figure: Its figure on the validation rows with the weights that it keeps; None where it diverged.
        stopped: Why it ended.
        whole: Whether it ran to its planned end; only such a trial can win.
    """

    round: int
    structure: dict[str, Any]
    point: tuple[float, float, float]
    rate: float | None
    updates: int
    figure: float | None
    stopped: str
    whole: bool

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that varied, by name: choices as text, numbers from -1 to 1."""
        chosen = {name: str(value) for name, value in self.structure.items()}
        return chosen | {name: float(at) for name, at in zip(NUMBERS, self.point, strict=True)}


@dataclass(frozen=True, repr=False)
class Best:
    """A search that has ended.

    Args:
        data: Name of the data.
        metric: What trials are compared by on the validation rows: `loss`, or a metric's name.
        higher_is_better: Its direction.
        judged_by: Which rows those are, in words.
        trials: Everything that was tried.
        winner: The best of those that ran to their end.
        model: The winner's model as the command line takes it, without what makes it an ensemble.
        ensemble: Networks that are averaged; None for one.
        recipe: The winner's.
        budget, spent: In words.
        rounds: Rounds after the default.
        run: The final run: the winner trained afresh, and evaluated on the test split once. None where the
            search was interrupted.
    """

    data: str
    metric: str
    higher_is_better: bool
    judged_by: str
    trials: tuple[Trial, ...]
    winner: Trial
    model: str
    ensemble: int | None
    recipe: Recipe
    budget: str
    spent: str
    rounds: int
    run: Run | None

    @property
    def ranked(self) -> list[Trial]:
        """The trials, the best first: those that ran to their end, then those that were frozen."""
        sign = -1.0 if self.higher_is_better else 1.0
        return sorted(
            self.trials,
            key=lambda t: (not t.whole, float("inf") if t.figure is None else sign * t.figure),
        )

    @property
    def mattered(self) -> list[Mattered]:
        """The share of the differences between trials that each setting accounts for."""
        sign = -1.0 if self.higher_is_better else 1.0
        used = [trial for trial in self.trials if trial.stopped != StopReason.CALLER]  # not those out of time
        figures = [None if trial.figure is None else sign * trial.figure for trial in used]
        return mattered([trial.settings for trial in used], figures, [trial.round for trial in used])

    def __repr__(self) -> str:
        """Return the winner and its figure."""
        return f"Best({self.data}: {self.metric} {self.winner.figure:.4g} of {len(self.trials)} trials)"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in best.json, and the result of the run."""
        plain = {name: value for name, value in vars(self).items() if name not in ("run", "trials")}
        return plain | {
            "recipe": toml.write(self.recipe),
            "winner": asdict(self.winner),
            "trials": [asdict(trial) for trial in self.ranked],
            "mattered": [each._asdict() for each in self.mattered],
            "result": None if self.run is None else self.run.result,
        }
