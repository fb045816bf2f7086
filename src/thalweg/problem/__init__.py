"""Floor 1: what is learned. Data, models, losses, and the `Problem` that joins them."""
