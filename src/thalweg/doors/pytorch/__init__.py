"""PyTorch programs in: a module and its loss as functions of arrays, and their diagnosis."""
