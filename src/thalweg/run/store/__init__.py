"""Checkpoints on disk that a kill, a full disk or a flipped bit cannot turn into something false.

It knows arrays, JSON and files, and nothing of JAX or of training, so that it can be killed thousands of
times cheaply (`tests/faults`). What is promised stands in `docs/durability.md`.
"""
