"""The quick form of the whole book: every experiment runs and draws, and its arithmetic holds.

A file of its own, which a worker of the gate runs beside the other tests of the lab: 145 seconds of a core.
"""

from xml.etree import ElementTree

import pytest

import thalweg as tw
from thalweg.lab import book

NAMES = list(book.names())
# What holds without noise: the figures that the texts compute by hand.
ARITHMETIC = (
    *("one_step", "chain_rule", "matrix_flops", "stability_edge", "updates_per_epoch", "bowl_steps"),
    *("parabola", "delta_rule", "softmax_gradient", "softmax_twice", "squared_error", "trade_offs"),
    *("accumulation", "backward_twice", "memory_by_batch", "training_memory", "recomputing"),
    *("reparameterised", "saddle_index"),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_form_runs_and_draws(name):
    report = tw.lab.run(name, quick=True)
    assert report.arithmetic_holds, report
    assert report.checks and report.figure.count("<path") > 2
    assert any(each.arithmetic for each in report.checks) or name not in ARITHMETIC
    ElementTree.fromstring(report.figure)
    assert "NaN" not in report.figure and " nan" not in report.figure
