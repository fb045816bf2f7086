"""The runs of `scripts/same_bits`, what is recorded of them, and how two recordings are compared."""
