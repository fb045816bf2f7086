"""Data: named sets, files and arrays in; three parts, a preparation and notes out."""
