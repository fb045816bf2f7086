"""Floor 0: errors, described choices, parameter trees, random keys, jaxprs. Imports no other floor."""
