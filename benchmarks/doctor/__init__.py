"""The doctor's own proof: programs with planted faults, healthy programs, and the score."""
