"""For people's eyes: progress, text for the terminal, the report. `insight` works out what they show."""
