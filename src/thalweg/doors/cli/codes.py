"""Exit codes of the command line."""

from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED

DONE, FAILED, INTERRUPTED = EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
BUG, BAD_INPUT = 1, 2
