"""Floor 0: errors, described choices, parameter trees, the key rule. Imports nothing of ours."""
