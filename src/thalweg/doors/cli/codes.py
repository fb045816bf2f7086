"""Exit codes of the command line."""

DONE, BUG, BAD_INPUT, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
