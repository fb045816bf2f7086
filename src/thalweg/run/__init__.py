"""Floor 3: a training run from its specification to its folder. Train, stop, log, save, resume, read back."""
