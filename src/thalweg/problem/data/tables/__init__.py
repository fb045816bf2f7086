"""Tables to `Data`: single rows, or windows of rows in time order."""
