"""Floor 2: how training runs. Program, state, step, feeds, layouts of lanes, evaluation."""
