"""The commands: their options and help texts, nothing else.

Imports are inside functions here, and only here: a command's module (and with it JAX) loads when the
command is called, so that `thalweg --help` responds at once.
"""
