"""Operations of a matrix-vector product."""

import numpy as np

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import linear
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A 3 x 5 matrix times a 5 x 1 vector takes 15 multiplications and 12 additions: 27 operations.",
    source="lecture notes; Golub & Van Loan, Matrix Computations, 2013, section 1.1",
    counts="the operations counted from the program are 15, 12 and 27",
)
def matrix_flops(lab: Bench) -> None:
    """Count the operations of a linear layer of 5 inputs and 3 outputs."""
    counted = cost(linear(5, 3), Recipe(SGD(), batch_size=8, epochs=1), measure=False).inference
    lab.equal("multiplications", counted.products_multiply, 15)
    lab.equal("additions", counted.products_add, 12)
    lab.equal("operations", counted.products, 27)
    lab.tell("operations of 3 x 5 times 5 x 1", "15 + 12 = 27", counted.products, 27)
    lab.row(rows=3, columns=5, multiplications=counted.products_multiply, additions=counted.products_add)
    sides = np.array([1, 2, 5, 10, 20, 50])
    lines = [
        Series("N x M x T multiplications", sides, 5.0 * 3 * sides),
        Series("all operations", sides, 9.0 * 3 * sides),
    ]
    lab.draw("Operations of a 3 x 5 matrix times 5 x T", lines, x="T", y="operations", log_x=True, log_y=True)
