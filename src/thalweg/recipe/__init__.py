"""Floor 1: how a problem is learned. Optimizers, schedules, regimes, the book of recipes."""
