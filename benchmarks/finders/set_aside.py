"""The tasks that were set aside before anything was tuned, by a rule that leaves no choice.

They are the `COUNT` tasks whose name, prefixed with `SALT`, has the lowest SHA-256. Names and digest were
fixed here before a finder was run on any task; `tests/test_finder_benchmarks.py` checks that they have not
changed. No figure of these tasks is looked at while a finder is developed.
"""

import hashlib
from collections.abc import Sequence

from benchmarks.finders.tasks import TASKS, Task, rate_of

SALT = "thalweg finders, issue 6: "
COUNT = 15
NAMES = (
    "airline rnn:16 sgd constant 16",
    "california mlp:32 lamb constant full",
    "california mlp:64,64,64,normalisation=batch nesterov one-cycle 128",
    "covtype mlp:64 sgd constant 64",
    "diabetes mlp:32,32,dropout=0.3 adamw warmup-cosine 16",
    "digits mlp:64 radam constant 256",
    "digits mlp:64 sgd constant full",
    "fashion cnn:4,8,hidden=32 adamw cosine 32",
    "fashion mlp:64 nesterov constant full",
    "mnist cnn:4,8,hidden=32 nesterov one-cycle 32",
    "mnist mlp:64 adam constant 64",
    "shakespeare gpt:layers=1,heads=2,width=32 adamw warmup-cosine 16",
    "sunspots lstm:16 adam cosine 32",
    "titanic mlp:32 momentum constant 32",
    "wine linear momentum constant full",
)
DIGEST = "8b209d045b44a0a1ed5d0ccd5928ff055cb5a9ee275d7645bae8a2c568dc44ef"


def lowest(tasks: Sequence[Task]) -> list[str]:
    """Return the names that the rule selects, sorted."""
    order = sorted(tasks, key=lambda task: hashlib.sha256((SALT + task.name).encode()).hexdigest())
    return sorted(task.name for task in order[:COUNT])


def digest(tasks: Sequence[Task]) -> str:
    """Return one SHA-256 over the definitions of the tasks set aside: name, updates and the recipe's rate."""
    chosen = sorted((task for task in tasks if task.name in NAMES), key=lambda task: task.name)
    definitions = "\n".join(f"{task.name} {task.steps} {rate_of(task.recipe):g}" for task in chosen)
    return hashlib.sha256(definitions.encode()).hexdigest()


def development() -> list[Task]:
    """Return the tasks that a finder may be developed on."""
    return [task for task in TASKS if task.name not in NAMES]


def set_aside() -> list[Task]:
    """Return the tasks set aside."""
    return [task for task in TASKS if task.name in NAMES]
