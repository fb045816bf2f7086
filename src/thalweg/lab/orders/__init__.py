"""The order of the examples."""
