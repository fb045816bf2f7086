"""A race, in the terminal and as a page."""
