"""The scoreboard of learning-rate finders: small tasks, their ground truth, each method's distance to it."""
