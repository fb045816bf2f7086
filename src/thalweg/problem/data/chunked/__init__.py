"""Tables that do not fit in memory, read chunk by chunk: one scan, then batches in a drawn order.

A Parquet file's chunks are its row groups, a text table's are stretches of a few megabytes. Rows are numbered
from 0 through all files. A hash of a row's number decides whether it is for training, validation or test, and
the batches of a step are a pure function of its number, so that a run can resume at any row.
"""
