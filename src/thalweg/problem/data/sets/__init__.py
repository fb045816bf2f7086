"""Named data sets: bundled with scikit-learn, synthetic, or downloaded."""
