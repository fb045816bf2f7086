"""Feeds: which examples each step of a dispatch reads."""
