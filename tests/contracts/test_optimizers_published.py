"""200 steps of every rule equal the published equations in NumPy, and torch.optim where it has the rule."""

import jax
import pytest

from tests.contracts.rows import NAMES, ROWS
from tests.contracts.trajectories import WEIGHTS, factor, landscape, ours, published, relative_error, start
from thalweg.recipe.optimizers import OPTIMIZERS

# Two orders of summation of the same 200 float64 steps on a stable problem stay within a few hundred
# roundings of 1e-16; 1e-9 leaves room for rules that divide by small roots.
TOLERANCE = 1e-9


WALKED: dict[int, list] = {}


def walked(row):
    """Our 200 steps of a row, made once for all references."""
    if id(row) not in WALKED:
        with jax.enable_x64(True):
            WALKED[id(row)] = ours(row.optimizer, landscape(row), row.shapes)
    return WALKED[id(row)]


def test_every_optimizer_has_a_row():
    assert sorted(OPTIMIZERS) == NAMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_equals_the_published_equations(row):
    assert relative_error(walked(row), published(row.reference, landscape(row), row.shapes)) < TOLERANCE


@pytest.mark.parametrize("row", [row for row in ROWS if row.torch], ids=lambda row: row.id)
def test_equals_torch(row):
    torch = pytest.importorskip("torch", reason="torch.optim is the second reference where it is installed")
    given = dict(row.torch)
    rule = getattr(torch.optim, given.pop("rule"))
    field, first = landscape(row), start(row.shapes)
    params = {name: torch.tensor(w, dtype=torch.float64, requires_grad=True) for name, w in first.items()}
    decay = given.pop("weight_decay", 0.0)
    # Libraries leave it to the caller to spare biases and scales.
    groups = [
        {"params": [w for name, w in params.items() if name in WEIGHTS], "weight_decay": decay},
        {"params": [w for name, w in params.items() if name not in WEIGHTS], "weight_decay": 0.0},
    ]
    optimizer = rule(groups, lr=row.optimizer.lr, **given)
    path = []
    for t in range(200):
        for group in optimizer.param_groups:
            group["lr"] = row.optimizer.lr * factor(t)
        grads = field.gradient({name: w.detach().numpy() for name, w in params.items()}, t)
        for name, w in params.items():
            w.grad = torch.tensor(grads[name])
        optimizer.step()
        path.append({name: w.detach().numpy().copy() for name, w in params.items()})
    assert relative_error(walked(row)[:-1], path) < TOLERANCE
