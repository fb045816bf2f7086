"""One call of `train` or `resume`, from its first step to its results."""
