"""Figures to decide by, from a trained model's answers for rows that it was not trained on.

What `thalweg fit` puts under `decisions` into result.json, and `evaluate` gives for other data: curves and
thresholds, the cost of errors, calibration, figures by class and group, residuals by range, errors worth
reading, which columns matter and how, and columns that may leak the target.
"""
