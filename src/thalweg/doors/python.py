"""The functions of `import thalweg` that train: shown while they run, and with the report in the run folder.

The library's own calls of the same functions are silent and leave reports to their callers.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from rich.console import Console

from thalweg.core.errors import BadInput
from thalweg.insight.best.best import best as find_best
from thalweg.insight.best.result import Best
from thalweg.insight.finder import batch_size, learning_rate
from thalweg.insight.fit import fit as fit_run
from thalweg.insight.judging import resume as resume_run
from thalweg.insight.race.race import race as run_race
from thalweg.insight.search import search as search_recipes
from thalweg.insight.tape.listing import text
from thalweg.insight.tape.runs import saved_path, tape_of_birth, tape_of_run
from thalweg.insight.tape.tape import Tape
from thalweg.insight.tape.tape import tape as record_function
from thalweg.problem.problem import Problem
from thalweg.run import train as training
from thalweg.run.progress import Progress, listener
from thalweg.run.replay import saved_run
from thalweg.run.run import Run, Runs
from thalweg.run.session.stream import Stream
from thalweg.view.notebook import Cell, in_notebook
from thalweg.view.progress import Bar, FewLines
from thalweg.view.render import write_report

F = TypeVar("F", bound=Callable[..., Any])


def display() -> Progress:
    """Return a listener for where the process runs: a notebook, a terminal, or something that keeps lines."""
    if in_notebook():
        return Cell()
    console = Console(file=sys.stderr)
    return Bar(console) if console.is_interactive else FewLines(sys.stderr)


def _shown(function: F) -> F:
    """Return a function that shows its progress unless told otherwise, and writes its result's report."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        progress = kwargs.get("progress")
        progress = display() if progress is None or progress is True else listener(progress)
        try:
            result = function(*args, **kwargs | {"progress": progress})
            _report(result, progress)
            return result
        finally:
            if isinstance(progress, FewLines):
                progress.close()

    return call  # type: ignore[return-value]


def _report(result: Any, progress: Progress) -> None:
    """Write the report into the folder of a run or sweep; a run is not lost because that fails."""
    if isinstance(result, Best):
        result = result.run
    if isinstance(result, (Run, Runs)):
        try:
            write_report(result)
        except OSError as error:
            progress.note(f"the report could not be written: {error}")


@functools.wraps(training.stream_train)
def _stream_train(*args: Any, **kwargs: Any) -> Stream:
    progress = kwargs.get("progress", False)
    progress = display() if progress is None or progress is True else listener(progress)
    stream = training.stream_train(*args, **kwargs | {"progress": progress})
    stream.at_end(lambda result: _report(result, progress))
    return stream


plan = training.plan
train = _shown(training.train)
stream_train = _stream_train
fit = _shown(fit_run)
resume = _shown(resume_run)
find_lr = _shown(learning_rate.find_lr)
find_batch_size = _shown(batch_size.find_batch_size)
search = _shown(search_recipes)
race = _shown(run_race)
best = _shown(find_best)


def tape(
    function: Any,
    *inputs: Any,
    show: bool = True,
    name: str = "",
    example: int = 0,
    born: bool = False,
    weights: str | None = None,
    problem: Problem | None = None,
    data: Any = None,
) -> Tape:
    """Record a function's forward and backward pass, or that of a run, op by op; print it.

    Args:
        function: A function that returns one floating-point number; or a run, or its folder.
        inputs: What the function is called with: numbers, arrays, trees of them such as Equinox modules.
        show: Whether to print the tape.
        name: What the tape of a function is called; by default the function's name.
        example: Of a run: the number of the example in the training split, from 0.
        born: Of a run that diverged: replay it from its last checkpoint, up to the update at which NaN or an
            infinity was made.
        weights: Of a run: `best` or `final`; None for those that it selected.
        problem, data: Of a run: as for `resume`.

    Raises:
        BadInput: The function cannot be recorded; see `thalweg.insight.tape.tape.tape`.
        RunFolderError: There is no run, or with `born` it did not diverge.

    Example:
        >>> import thalweg as tw
        >>> result = tw.tape(lambda x: x**3 + 5 * x, 2.0, show=False)
        >>> result.value, float(result.gradients["x"]), len(result.ops)
        (18.0, 17.0, 4)
    """
    folder = saved_path(function)
    if folder is None:
        recorded = record_function(function, *inputs, name=name)
    else:
        if inputs:
            hint = "name the example instead: tape(run, example=3)"
            raise BadInput("tape", "a run takes no inputs", got=f"{len(inputs)} inputs", hint=hint)
        saved = saved_run(folder, problem or getattr(function, "problem", None), data)
        recorded = tape_of_birth(saved) if born else tape_of_run(saved, example, weights)
    if show:
        print(text(recorded), end="")
    return recorded
