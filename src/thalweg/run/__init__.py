"""Floor 3: a training run as a lasting thing. Train, stop, log, keep, read again."""
