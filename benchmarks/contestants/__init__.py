"""Everyone who takes part in a contest, each in a process of its own: Thalweg, hand-written JAX, the peers.

A module here has `prepare(setting) -> block`: it imports its library, makes data, model and optimizer, and
returns a function without arguments that does one block of work and returns `{"seconds": ..., "examples":
...}`. Nothing here imports Thalweg but `engine`, `task`, `train`, `steps` and `lanes`: peers may live in
another environment.
"""
