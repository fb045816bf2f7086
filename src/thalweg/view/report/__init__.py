"""The report of a run as one HTML file."""

from thalweg.view.report.page import render

__all__ = ["render"]
