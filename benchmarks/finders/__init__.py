"""The scoreboard of learning-rate finders: many small tasks, the truth of each, and who comes near it."""
