"""Named data sets: bundled with scikit-learn, made from a seed, or fetched."""
