"""A sweep for people: the ranked table and the report."""
