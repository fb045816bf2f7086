"""The tape's corpus: planted faults and clean runs, and its scoreboard."""
