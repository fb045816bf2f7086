"""What is tried: a structure (model, optimizer, batch, length) and a point in the space of its numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from thalweg.core.errors import RecipeError
from thalweg.engine.group import length
from thalweg.insight.race.space import Space
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.problem.models import MLP, Tabular
from thalweg.problem.models.tabular import NONE, PERIODIC
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import with_setting

OPTIMIZERS_TRIED = ("adamw", "muon")
# Factors of the widths of hidden layers, of the batch and of the length. Bounded, as the cost of a round is
# predicted from another's.
WIDTHS, BATCHES, LENGTHS = (1.0, 0.5, 2.0), (1.0, 0.5, 2.0), (1.0, 2.0, 0.5)
DROPOUTS = (0.0, 0.1, 0.3)
NUMBERS = ("rate", "momentum", "weight decay")

Structure = dict[str, Any]


class Candidates:
    """The space of what is tried, around a problem and a recipe.

    Args:
        problem: What is learned, without its test split.
        recipe: The recipe at the centre.
        optimizers: Names.
        models: Models instead of the problem's; empty for the problem's own, in several sizes if it is an
            MLP.

    Attributes:
        choices: For each choice of a structure its values, the centre's first.
    """

    def __init__(self, problem: Problem, recipe: Recipe, optimizers: Sequence[str], models: Sequence[Any]):
        self._problem, self._recipe, self._models = problem, recipe, list(models)
        self._problems: dict[str, Problem] = {}
        own = recipe.optimizer.name
        self.choices: dict[str, list[Any]] = {"optimizer": [own, *(n for n in optimizers if n != own)]}
        model = problem.model
        if self._models:
            self.choices["model"] = [getattr(m, "spec", lambda m=m: str(m))() for m in self._models]
        elif isinstance(model, (MLP, Tabular)):
            self.choices["width"] = list(WIDTHS)
            self.choices["dropout"] = list(dict.fromkeys([model.dropout, *DROPOUTS]))
            if isinstance(model, Tabular) and model.embedding == PERIODIC:
                self.choices["embedding"] = [PERIODIC, NONE]
        if not isinstance(recipe.batch_size, str):
            self.choices["batch"] = list(BATCHES)
        self.choices["length"] = list(LENGTHS)
        self.choices = {name: values for name, values in self.choices.items() if len(values) > 1}

    @property
    def centre(self) -> Structure:
        """The structure of the problem and the recipe themselves."""
        return {name: values[0] for name, values in self.choices.items()}

    def drawn(self, point: Sequence[float]) -> Structure:
        """Return the structure at a point of the unit cube, one coordinate for each choice."""
        pairs = zip(self.choices.items(), point, strict=True)
        return {name: values[min(int(at * len(values)), len(values) - 1)] for (name, values), at in pairs}

    def problem(self, structure: Structure, base: Problem | None = None) -> Problem:
        """Return the problem of a structure.

        Args:
            structure: What is chosen.
            base: With the data to use; None for the problem that is searched on, whose programs are kept.
        """
        words = {
            name: structure[name] for name in ("model", "width", "dropout", "embedding") if name in structure
        }
        key = str(words)
        if base is None and key in self._problems:
            return self._problems[key]
        problem = self._problem if base is None else base
        model = problem.model
        if "model" in words:
            model = self._models[self.choices["model"].index(words["model"])]
        elif words:
            first, *hidden, last = model.sizes
            widths = [max(1, round(width * words["width"])) for width in hidden]
            more = {"embedding": words["embedding"]} if "embedding" in words else {}
            model = replace(model, sizes=(first, *widths, last), dropout=words["dropout"], **more)
        made = problem if model == problem.model else replace(problem, model=model, name=None)
        if base is None:
            self._problems[key] = made
        return made

    def recipe(self, structure: Structure, point: Sequence[float]) -> Recipe:
        """Return the recipe of a structure at a point, each coordinate from -1 to 1.

        Args:
            structure: What is chosen.
            point: Of rate, momentum and weight decay, as shares of the reach of `race.space`; zeros at the
                centre.
        """
        recipe = self._recipe
        name = structure.get("optimizer", recipe.optimizer.name)
        if name != recipe.optimizer.name:
            rule = OPTIMIZERS[name]()
            settings = with_setting(recipe.to_dict(), "optimizer", {"name": name} | rule.to_dict())
            recipe = Recipe.from_dict(settings)
        if "batch" in structure:
            assert isinstance(recipe.batch_size, int)
            # Half a batch is twice the updates in as many epochs; the length is a choice of its own.
            recipe = replace(recipe, batch_size=max(1, round(recipe.batch_size * structure["batch"])))
        if recipe.steps is not None:
            recipe = replace(recipe, steps=max(1, round(recipe.steps * structure["length"])))
        else:
            recipe = replace(recipe, epochs=max(1, round((recipe.epochs or 1) * structure["length"])))
        if not any(point) or not recipe.optimizer.rates:
            return recipe
        space = Space.of(recipe)
        return space.at(space.reach * point[0], point[1], point[2])

    def updates(self, structure: Structure) -> int:
        """Return the updates of one whole training."""
        return length(self.problem(structure), self.recipe(structure, (0.0, 0.0, 0.0)))


def without_test(problem: Problem) -> Problem:
    """Return the problem without its test split; all rows that validate stay."""
    return replace(problem, data=replace(problem.data, test=None))


def judged_by(problem: Problem) -> str:
    """Return in words which rows candidates are compared on."""
    train = problem.data.train
    if isinstance(train, MemberRows):
        return f"{train.folds} validation folds of all {train.count():,} rows that are not for the test"
    assert problem.data.validation is not None
    return f"the validation split of {problem.data.validation.count():,} examples"


def reject_optimizers(names: Sequence[str]) -> None:
    """Reject optimizers that are unknown, or have no rate to search.

    Raises:
        RecipeError: The message names the nearest.
    """
    for name in names:
        if name not in OPTIMIZERS:
            Recipe.from_dict({"optimizer": {"name": name}}, where="best")  # it names the nearest
        if not OPTIMIZERS[name]().rates:
            rule = "needs optimizers with a learning rate"
            raise RecipeError("best", rule, got=name, hint="leave it out; thalweg fit trains it as it is")
