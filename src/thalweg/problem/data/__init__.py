"""Data: named sets, files and arrays in; splits, a preparation and notes out.

Imports run down these levels (checked by `tests/test_architecture.py`), lowest first:

1. `note`, `split`: a remark of a reader; a split as a compiled program sees it.
2. `files/`: the content of files (tables, pictures, arrays, text), one reader per format.
3. `inputs/`: raw data to input arrays, one class per kind of data.
4. `preparation`: everything between raw data and a model.
5. `data`: `Data`, the result.
6. `options`, `labels`: how to read a set; what its target is.
7. `splitting`: which row goes into which split.
8. `arrays`, `text`, `stream`: arrays, text and streams to `Data`.
9. `tables/`: tables and time series to `Data`.
10. `sets/`: named sets.
11. `reading`: the table of readers.
12. `predict_inputs`: new data for a trained model.
13. `load`: what users call; it imports `reading` on the first call.

To add a kind of data, or an option of reading: docs/contributing.md.
"""
