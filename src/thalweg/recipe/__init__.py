"""Floor 1: how a problem is learned. Optimizers, schedules, averages, the book of recipes."""
