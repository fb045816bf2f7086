"""A run folder: every file in it, how it is written, read, locked and verified."""
