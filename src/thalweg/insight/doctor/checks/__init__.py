"""The doctor's checks, by family: head and loss, gradient, data and labels, model, optimisation."""

from thalweg.insight.doctor.checks import data, flow, head, labels, model, optimisation, several
from thalweg.insight.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    *head.CHECKS,
    *several.CHECKS,
    *flow.CHECKS,
    *data.CHECKS,
    *labels.CHECKS,
    *model.CHECKS,
    *optimisation.CHECKS,
)
