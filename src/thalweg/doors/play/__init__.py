"""The playground: a page on this machine alone in which networks are trained while one watches."""
