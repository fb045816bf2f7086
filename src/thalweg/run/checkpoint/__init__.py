"""Checkpoints on disk: manifests and arrays, without JAX."""
