"""The contestants, each run in its own process: Thalweg, hand-written JAX, and the peers.

A module here has `prepare(setting) -> block`: it imports its library, creates data, model and optimizer, and
returns a function without arguments that does one block of work and returns `{"seconds": ..., "examples":
...}`. Only the modules in `benchmarks.processes.OURS`, and `task`, import Thalweg: the peers may be installed
in another environment.
"""
