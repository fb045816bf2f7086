"""Layouts: how the lanes of one program are computed, and the rewriting of its operations."""
