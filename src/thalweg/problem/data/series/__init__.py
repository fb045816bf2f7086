"""Time series: a table in time order becomes windows of rows, each with the values that follow it."""
