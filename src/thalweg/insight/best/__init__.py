"""The best network that a budget can buy."""
