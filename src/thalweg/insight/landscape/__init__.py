"""The loss as a function of the weights: on planes and lines through trained networks, and its curvature."""
