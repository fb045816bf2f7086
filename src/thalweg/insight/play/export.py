"""The recipe of the playground as TOML, as Python, and as a command."""

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from thalweg.core.choice import Choice, default_of
from thalweg.insight.play.settings import Settings
from thalweg.insight.play.sources import SURFACE, Source
from thalweg.recipe import toml
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import flat_settings


def as_toml(settings: Settings) -> str:
    """Return the recipe as a file for `--recipe`."""
    return toml.write(settings.recipe())


def as_python(settings: Settings, source: Source) -> str:
    """Return a script that trains the same network on the same data."""
    recipe = _call(settings.recipe())
    if source.kind == SURFACE:
        start = "" if settings.start is None else f", start={_value(list(settings.start))}"
        problem = f'problem = tw.surface("{source.name}"{start})\n'
    else:
        options = "".join(f", {name}={value!r}" for name, value in source.options)
        data = f"data = tw.load({source.path!r}{options})\n"
        problem = f"{data}problem = tw.Problem({_call(settings.architecture())}, data)\n"
    return f"import thalweg as tw\n\n{problem}recipe = {recipe}\nrun = tw.train(problem, recipe)\n"


def as_command(settings: Settings, source: Source) -> str:
    """Return the command that trains the same network on the same data; of a surface, that draws it."""
    return " ".join(map(shlex.quote, command_words(settings, source)))


def command_words(settings: Settings, source: Source) -> list[str]:
    """Return the words of `as_command`."""
    recipe = settings.recipe()
    if source.kind == SURFACE:
        start = settings.start or source.surface.start
        words = ["thalweg", "landscape", source.name, "--steps", str(recipe.steps)]
        base = Recipe(batch_size=1, seed=0)
        return [*words, f"--start={start[0]:g},{start[1]:g}", *_changes(recipe, base, ("steps",))]
    assert source.data is not None
    base = default_recipe(source.data.task, source.data.train.count())
    words = [
        "thalweg",
        "fit",
        source.path,
        *_options(source.options),
        "--model",
        settings.architecture().spec(),
    ]
    changes = _changes(recipe, base, ("steps", "epochs", "seed"))
    return [*words, *changes, "--steps", str(recipe.steps), "--seed", str(recipe.seed)]


def _options(options: Sequence[tuple[str, Any]]) -> list[str]:
    """Return options of `load` as words of the command line."""
    words: list[str] = []
    for name, value in options:
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
            continue
        for each in value if isinstance(value, (list, tuple)) else (value,):
            words += [f"--{flag}", str(each)]
    return words


def _changes(recipe: Recipe, base: Recipe, without: Sequence[str]) -> list[str]:
    """Return `--set` words that turn one recipe into another."""
    before, after = flat_settings([base, recipe])
    words = []
    for component in ("optimizer", "schedule"):
        name = f"{component}.name"
        if before.get(name) != after.get(name):
            # Naming another component sets its numbers to their defaults.
            words += ["--set", f"{component}={after[name]}"]
            fresh = type(getattr(recipe, component))()
            before = {path: value for path, value in before.items() if not path.startswith(f"{component}.")}
            before |= {f"{component}.{path}": value for path, value in fresh.to_dict().items()}
    for path in dict.fromkeys([*after, *before]):
        value = after.get(path)
        if path in without or path.endswith(".name") or _same(before.get(path), value):
            continue
        words += ["--set", f"{path}={'off' if value is None else _word(value)}"]
    return words


def _same(one: Any, other: Any) -> bool:
    return _word(one) == _word(other)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _value(value) if isinstance(value, float) else str(value)


def _call(choice: Choice) -> str:
    """Return the call that makes a choice; settings with their default are left out."""
    described, words = type(choice).described(), []
    for field in fields(choice):
        value = getattr(choice, field.name)
        if repr(value) == repr(default_of(described[field.name])):
            continue
        words.append(f"{field.name}={_value(value)}")
    return f"tw.{type(choice).__name__}({', '.join(words)})"


def _value(value: Any) -> str:
    if isinstance(value, Choice):
        return _call(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (float, np.floating)) and not isinstance(value, bool):
        short = f"{value:.6g}"
        return repr(float(short)) if float(short) == float(value) else repr(float(value))
    return repr(value)
