"""A finding as text for the terminal and as a page."""
