"""The playground's engine: data and networks that can be drawn, trained by single updates as lanes."""
