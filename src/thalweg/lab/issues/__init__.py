"""Training issues, planted."""
