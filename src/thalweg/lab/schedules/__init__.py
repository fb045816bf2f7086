"""Schedules of the learning rate, and averages of the weights."""
