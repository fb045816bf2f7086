"""A sweep as a ranked table for the terminal and as a report."""
