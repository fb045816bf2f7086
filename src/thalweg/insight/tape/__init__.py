"""The tape: a function's forward pass op by op, its backward pass in reverse order, and what goes wrong."""
