"""`diagnose_torch`: the doctor for a PyTorch program.

The model and its loss are translated (`translated`), and compared with PyTorch's own outputs, loss and
gradients on rows of the loader before anything is concluded from them. What follows is `diagnose`: its
counterfactual runs are lanes of the translated program, which costs a fraction of retraining in PyTorch. The
lines of code of the answer are PyTorch's.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput
from thalweg.core.lazy import extra
from thalweg.doors.pytorch.loader import check_all_trained, narrow, recipe_of, rows_of
from thalweg.doors.pytorch.translated import check_same, translated
from thalweg.insight.doctor.diagnose import diagnose
from thalweg.insight.doctor.diagnosis import Cause, Change, Diagnosis
from thalweg.problem.data.data import Data
from thalweg.problem.data.examples import examples
from thalweg.problem.problem import Problem
from thalweg.run.progress import Progress, Status

VALIDATION = 0.2  # share of the loader's rows that is held out where no loader of validation rows is given
COMPARED = 64  # rows on which the translation is compared
# How lines of code for arrays are said in PyTorch, in this order.
SAID = (
    (r"jax\.nn\.log_softmax\(outputs\)", "F.log_softmax(outputs, dim=1)"),
    (r"jax\.nn\.(sigmoid|tanh|softmax|relu)\(", r"torch.\1("),
    (r"jnp\.tanh\(", "torch.tanh("),
    (r"jax\.nn\.(\w+)\(", r"F.\1("),
    (r"jnp\.maximum\(p, ([\d.e-]+)\)", r"p.clamp(min=\1)"),
    (r"jnp\.arange\(len\(y\)\)", "torch.arange(len(y))"),
    (r"jnp\.", "torch."),
    (r"np\.delete\(x, \[(.*)\], axis=1\)", r"x[:, [at for at in range(x.shape[1]) if at not in [\1]]]"),
    (r"axis=", "dim="),
)


@checked(BadInput)
def diagnose_torch(
    make_model: Callable[[], Any],
    make_optimizer: Callable[[Any], Any],
    loader: Any,
    loss: Callable[[Any, Any], Any],
    *,
    epochs: int = 10,
    validation: Any = None,
    budget: float = 10.0,
    seeds: int = 3,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | Callable[[Status], Any] | bool | None = False,
) -> Diagnosis:
    """Say why the training of a PyTorch program fails, prove it, and repair it.

    Args:
        make_model: `() -> torch.nn.Module` with new weights from PyTorch's global generator.
        make_optimizer: `parameters -> torch.optim.Optimizer`.
        loader: The `torch.utils.data.DataLoader` of training batches `(x, y)`.
        loss: `loss(outputs, y)` of a batch: a function or module of PyTorch.
        epochs: Passes over the loader, as the program makes them; at least 1.
        validation: A loader of validation rows; None holds out a fifth of the training rows.
        budget, seeds, quick, progress: As for `diagnose`.
        seed: Seed of the first run.

    Returns:
        The diagnosis. `repaired` trains in Thalweg; its lines of code are PyTorch's.

    Raises:
        BadInput: The loader gives no pairs of tensors, or the budget is too small.
        ModelError: Model or loss cannot be translated, or the translation differs from PyTorch.
        RecipeError: The optimizer has no counterpart.

    Example:
        >>> import torch, thalweg as tw  # doctest: +SKIP
        >>> answer = tw.diagnose_torch(Net, lambda p: torch.optim.SGD(p, lr=10.0), loader, F.cross_entropy)
        >>> print(answer)
    """
    extra("diagnose_torch", "torch", "torch")
    if epochs < 1:
        raise BadInput("torch", "epochs must be at least 1", got=epochs, hint="as many as the program makes")
    x, y = rows_of(loader)
    held = None if validation is None else tuple(map(narrow, rows_of(validation)))
    data = _data(narrow(x), narrow(y), held)
    program = translated(make_model, loss, x[:COMPARED], y[:COMPARED])
    model = make_model()
    optimizer = make_optimizer(model.parameters())
    recipe = recipe_of(optimizer, loader, epochs, seed)
    check_all_trained(model, optimizer)
    check_same(program, make_model, loss, x[:COMPARED], y[:COMPARED])
    problem = Problem(program.factory, data, objective=program.objective)
    answer = diagnose(problem, recipe, budget=budget, seeds=seeds, quick=quick, progress=progress)
    return in_pytorch(answer)


def in_pytorch(answer: Diagnosis) -> Diagnosis:
    """Return a diagnosis whose lines of code are PyTorch's."""

    def said(change: Change | None) -> Change | None:
        if change is None or change.line is None:
            return change
        line = change.line
        for pattern, text in SAID:
            line = re.sub(pattern, text, line)
        return replace(change, line=line)

    def of_cause(cause: Cause) -> Cause:
        return replace(cause, change=said(cause.change))

    repair = answer.repair
    if repair is not None:
        repair = replace(repair, changes=tuple(said(each) or each for each in repair.changes))
    causes, refuted = (tuple(map(of_cause, each)) for each in (answer.causes, answer.refuted))
    return replace(answer, causes=causes, refuted=refuted, repair=repair)


def _data(x: np.ndarray, y: np.ndarray, held: Any) -> Data:
    if held is None:
        return examples({"x": x, "y": y}, validation=VALIDATION, test=0.0, name="pytorch")
    data, other = (
        examples({"x": a, "y": b}, validation=0.0, test=0.0, name="pytorch") for a, b in ((x, y), held)
    )
    return replace(data, validation=other.train)
