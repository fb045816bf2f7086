"""For people's eyes: progress, text for the terminal, the report. Nothing is computed here that is not shown."""
