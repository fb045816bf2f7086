"""A sweep on many machines: its shards as units of work for any executor."""
