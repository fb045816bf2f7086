"""Full batch, one example at a time, mini-batches."""
