"""Models, losses and regularisation."""
