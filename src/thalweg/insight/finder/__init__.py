"""Finding the learning rate and the batch size: by lanes, with an interval, and what is said of it."""
