"""Whole recipes, and what each part of them is worth."""
