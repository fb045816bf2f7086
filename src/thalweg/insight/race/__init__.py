"""Races: which optimizer, or which model, is best on a problem, settled over seeds at equal budgets."""
