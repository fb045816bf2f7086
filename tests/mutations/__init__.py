"""Wrong rules, planted one at a time: `python -m tests.mutations` shows which of them the tests notice."""
