"""Tables to `Data`: rows on their own, or windows of rows in time order."""
