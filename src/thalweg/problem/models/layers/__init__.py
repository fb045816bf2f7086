"""The parts that models are made of. Every layer takes one example; features (channels) are the last axis."""
