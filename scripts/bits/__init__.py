"""What `scripts/same_bits` trains, what it keeps of that, and how two recordings are compared."""
