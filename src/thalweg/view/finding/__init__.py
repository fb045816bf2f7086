"""A finding for people's eyes: sentences for a terminal, the page, the plain picture."""
