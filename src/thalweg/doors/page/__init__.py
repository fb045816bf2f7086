"""The live page: a server on this machine alone that shows all runs under a folder while they train."""
