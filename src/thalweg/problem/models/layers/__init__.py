"""Layers. Every layer takes one example; features (channels) are the last axis."""
