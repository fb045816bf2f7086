"""Defaults on tables: what `fit` gives without any option, against the defaults of other libraries."""
