"""Floor 4: what runs show. Summaries, comparisons, rankings, and the finders. Draws nothing."""
