"""The doctor's checks, by family: head and loss, what the gradient reaches, model, data, optimisation."""

from thalweg.insight.doctor.checks import data, flow, head, model, optimisation
from thalweg.insight.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    *head.CHECKS,
    *flow.CHECKS,
    *data.CHECKS,
    *model.CHECKS,
    *optimisation.CHECKS,
)
