"""The styles in which people write columns and files; `messy.py` makes tables of them."""
