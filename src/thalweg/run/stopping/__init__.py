"""When lanes stop, and which of their weights were best."""
