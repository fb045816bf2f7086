"""Figures as SVG and HTML: axes, plots, heat maps, and the elements that pages are made of."""
