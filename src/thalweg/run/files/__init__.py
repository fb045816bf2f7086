"""A run or a sweep on disk: its folder, its tables, its weights, and what says that they are sound."""
