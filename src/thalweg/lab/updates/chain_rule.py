"""The derivative of x^3 + 5x at 2 by the chain rule, op by op."""

import numpy as np

from thalweg.insight.tape.tape import tape
from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment


@experiment(
    claim="The derivative of x^3 + 5x at x = 2 is 3 x 2^2 + 5 = 17, and the backward pass finds it op by op.",
    source="the worked example of lecture notes; Rumelhart, Hinton & Williams, 1986 (the method)",
    counts="the tape's gradient is 17 within 1e-6",
)
def chain_rule(lab: Bench) -> None:
    """Record the function on a tape and read its gradient."""
    recorded = tape(lambda x: x**3 + 5 * x, 2.0)
    slope = float(recorded.gradients["x"])
    lab.equal("the gradient of the tape", slope, 17.0)
    lab.tell("slope of x^3 + 5x at 2", "17", slope, 17.0, 1e-6)
    lab.row(value=float(recorded.value), gradient=slope, ops=len(recorded.ops))
    x = np.linspace(0, 3.5, 80)
    lines = [Series("x^3 + 5x", x, x**3 + 5 * x), Series("tangent at 2", x, 18 + slope * (x - 2))]
    lab.draw("The function and its tangent", lines, x="x", y="value", marks={"x = 2": 2.0})
