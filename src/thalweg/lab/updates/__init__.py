"""The update: one step of gradient descent."""
