"""Pages of tapes."""
