"""The loss as a surface."""
