"""Loss surfaces, lines between runs and curvature, as pages of one file and as SVG pictures."""
