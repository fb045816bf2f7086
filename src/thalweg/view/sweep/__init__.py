"""A sweep for people's eyes: the lanes while they run, the ranked table, the report."""
