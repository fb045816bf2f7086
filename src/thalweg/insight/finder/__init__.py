"""Finding the learning rate and the batch size: by training lanes, with an interval and a report in words."""
