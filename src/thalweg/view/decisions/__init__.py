"""Figures to decide by, as sections of pages and as text."""
