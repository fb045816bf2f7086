"""Floor 2: how training runs. State, step, loop, feed, evaluation, lanes."""
