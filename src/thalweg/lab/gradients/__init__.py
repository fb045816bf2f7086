"""Gradients through depth and time."""
