"""The largest stable rate on quadratics."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import quadratic
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Gradient descent on a quadratic of largest curvature L is stable for rates between 0 and "
    "2/L, and only there.",
    source="Nesterov, Introductory Lectures on Convex Optimization, 2004, section 1.2.3; LeCun et al. 1998",
    counts="on three quadratics the observed edge is 2/L within 1 %",
)
def stability_edge(lab: Bench) -> None:
    """Try rates around 2/L and see which descend."""
    found, shares = {}, np.array([0.5, 0.9, 0.97, 0.98, 0.985, 0.995, 1.005, 1.015, 1.02, 1.03, 1.1])
    for steep in (1.0, 10.0, 250.0):
        start = quadratic((steep, 0.3 * steep), (1.0, 1.0))
        rates = {f"{s:g}": Recipe(SGD(lr=float(s) * 2 / steep), batch_size=1, steps=400) for s in shares}
        arms = lab.train(start, rates, label=f"L = {steep:g}", noiseless=True)
        ends = np.array([arms.values(name)[lab.seeds[0]] for name in rates])
        stable = ends < 0.65 * steep
        edge = (shares[stable].max() + shares[~stable].min()) / 2 * 2 / steep
        lab.equal(f"observed edge over 2/L for L = {steep:g}", edge * steep / 2, 1.0, 0.01)
        lab.tell(
            f"largest stable rate for L = {steep:g}", f"2/L = {2 / steep:g}", edge, 2 / steep, 0.02 / steep
        )
        found[steep] = Series(f"L = {steep:g}", shares, np.minimum(ends / steep, 1e6))
    title = "Loss after 400 steps by rate: the edge is at 2/L"
    lab.draw(
        title,
        list(found.values()),
        x="rate as a multiple of 2/L",
        y="loss / L",
        log_y=True,
        marks={"2/L": 1.0},
    )
