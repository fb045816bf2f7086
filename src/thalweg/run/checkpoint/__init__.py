"""Checkpoints on disk: bytes and manifests, without JAX."""
