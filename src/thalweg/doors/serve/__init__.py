"""`thalweg serve`: predictions of a trained run over HTTP."""
